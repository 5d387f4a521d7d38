#include <dualbus/base/chunk_queue.hpp>

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

namespace dualbus::base {

struct chunk {
  chunk* next;
  std::size_t begin, end, capacity;
  char* data() { return reinterpret_cast<char*>(this + 1); }
  std::size_t room() const { return capacity - end; }
};

namespace {

// A reply larger than a chunk gets chunks of its own size up to this, so that it needs few iovecs.
constexpr std::size_t max_chunk_bytes = std::size_t{1} << 20;
constexpr std::size_t max_reserve_bytes = 256;
// A small chunk holds an error or an ID, and little more.
constexpr std::size_t small_bytes = 160;

}  // namespace

chunk_pool::chunk_pool(std::size_t chunk_bytes, std::size_t max_free)
    : chunk_bytes_(std::max(chunk_bytes, max_reserve_bytes)), max_free_(max_free) {}

chunk_pool::~chunk_pool() {
  for (free_list* list : {&regular_, &small_}) {
    while (list->first != nullptr) ::operator delete(std::exchange(list->first, list->first->next));
  }
}

chunk_pool::free_list& chunk_pool::list_of(std::size_t capacity) {
  return capacity == small_bytes ? small_ : regular_;
}

chunk* chunk_pool::take(std::size_t at_least, bool small) {
  const std::size_t usual = small && at_least <= small_bytes ? small_bytes : chunk_bytes_;
  free_list& list = list_of(usual);
  chunk* c;
  if (at_least <= usual && list.first != nullptr) {
    c = std::exchange(list.first, list.first->next);
    --list.count;
  } else {
    const std::size_t capacity = std::max(usual, std::min(at_least, max_chunk_bytes));
    c = static_cast<chunk*>(::operator new(sizeof(chunk) + capacity));
    c->capacity = capacity;
  }
  used_bytes_ += c->capacity;
  c->next = nullptr;
  c->begin = c->end = 0;
  return c;
}

void chunk_pool::give(chunk* c) {
  used_bytes_ -= c->capacity;
  free_list& list = list_of(c->capacity);
  if ((c->capacity != chunk_bytes_ && c->capacity != small_bytes) || list.count >= max_free_) {
    ::operator delete(c);
    return;
  }
  c->next = list.first;
  list.first = c;
  ++list.count;
}

chunk_queue::chunk_queue(chunk_queue&& other) noexcept
    : pool_(other.pool_),
      small_(other.small_),
      head_(std::exchange(other.head_, nullptr)),
      tail_(std::exchange(other.tail_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

void chunk_queue::add_chunk(std::size_t at_least) {
  chunk* c = pool_->take(at_least, small_ && head_ == nullptr);
  (tail_ != nullptr ? tail_->next : head_) = c;
  tail_ = c;
}

void chunk_queue::append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (tail_ == nullptr || tail_->room() == 0) add_chunk(bytes.size());
    const std::size_t part = std::min(bytes.size(), tail_->room());
    std::memcpy(tail_->data() + tail_->end, bytes.data(), part);
    tail_->end += part;
    size_ += part;
    bytes.remove_prefix(part);
  }
}

char* chunk_queue::reserve(std::size_t bytes) {
  assert(bytes <= max_reserve_bytes);
  if (tail_ == nullptr || tail_->room() < bytes) add_chunk(bytes);
  return tail_->data() + tail_->end;
}

void chunk_queue::commit(std::size_t bytes) {
  tail_->end += bytes;
  size_ += bytes;
}

void chunk_queue::splice(chunk_queue& other) {
  if (other.head_ == nullptr) return;
  // Copying a short piece is cheaper than keeping it in a chunk that it leaves nearly empty.
  if (other.head_ == other.tail_ && tail_ != nullptr && other.size_ <= max_reserve_bytes &&
      tail_->room() >= other.size_) {
    append({other.head_->data() + other.head_->begin, other.size_});
    other.clear();
    return;
  }
  (tail_ != nullptr ? tail_->next : head_) = other.head_;
  tail_ = std::exchange(other.tail_, nullptr);
  other.head_ = nullptr;
  size_ += std::exchange(other.size_, 0);
}

int chunk_queue::gather(iovec* vectors, int count) const {
  int filled = 0;
  for (chunk* c = head_; c != nullptr && filled < count; c = c->next) {
    if (c->end == c->begin) continue;
    vectors[filled++] = {c->data() + c->begin, c->end - c->begin};
  }
  return filled;
}

void chunk_queue::consume(std::size_t bytes) {
  assert(bytes <= size_);
  size_ -= bytes;
  while (bytes > 0 || (head_ != nullptr && head_->begin == head_->end)) {
    const std::size_t part = std::min(bytes, head_->end - head_->begin);
    head_->begin += part;
    bytes -= part;
    if (head_->begin == head_->end) {
      pool_->give(std::exchange(head_, head_->next));
      if (head_ == nullptr) tail_ = nullptr;
    }
  }
}

void chunk_queue::erase(std::size_t from, std::size_t bytes) {
  assert(from + bytes <= size_);
  if (bytes == size_) return clear();
  size_ -= bytes;
  for (chunk* c = head_; bytes > 0; c = c->next) {
    const std::size_t there = c->end - c->begin;
    if (from >= there) {
      from -= there;
      continue;
    }
    const std::size_t part = std::min(bytes, there - from);
    char* const hole = c->data() + c->begin + from;
    std::memmove(hole, hole + part, there - from - part);
    c->end -= part;
    bytes -= part;
    from = 0;
  }
}

std::string chunk_queue::take_all() {
  std::string bytes;
  bytes.reserve(size_);
  for (chunk* c = head_; c != nullptr; c = c->next) bytes.append(c->data() + c->begin, c->end - c->begin);
  clear();
  return bytes;
}

void chunk_queue::clear() {
  while (head_ != nullptr) pool_->give(std::exchange(head_, head_->next));
  tail_ = nullptr;
  size_ = 0;
}

}  // namespace dualbus::base
