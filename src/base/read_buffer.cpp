#include <dualbus/base/read_buffer.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace dualbus::base {

read_buffer::~read_buffer() {
  release();
}

read_buffer::read_buffer(read_buffer&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)) {}

read_buffer& read_buffer::operator=(read_buffer&& other) noexcept {
  if (this != &other) {
    std::swap(memory_, other.memory_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    other.release();
  }
  return *this;
}

std::span<char> read_buffer::prepare(std::size_t bytes) {
  if (capacity_ - end_ < bytes) {
    const std::size_t used = size();
    if (begin_ > 0) {
      std::memmove(memory_, memory_ + begin_, used);
      begin_ = 0;
      end_ = used;
    }
    if (capacity_ - used < bytes) {
      // The buffer grows by half at least, so that a request that arrives in many pieces is not moved for
      // each.
      const std::size_t least = used + bytes;
      std::size_t wanted = std::max(least, capacity_ + capacity_ / 2);
      void* grown;
      while ((grown = std::realloc(memory_, wanted + padding)) == nullptr) {
        if (std::exchange(wanted, least) > least) continue;
        const std::new_handler spare = std::get_new_handler();  // as operator new does
        if (spare == nullptr) throw std::bad_alloc();
        spare();
      }
      bytes_held_ += static_cast<std::ptrdiff_t>(wanted - capacity_);
      memory_ = static_cast<char*>(grown);
      capacity_ = wanted;
    }
  }
  return {memory_ + end_, capacity_ - end_};
}

void read_buffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
  commit(bytes.size());
}

void read_buffer::release() {
  bytes_held_ -= static_cast<std::ptrdiff_t>(capacity_);
  std::free(std::exchange(memory_, nullptr));
  capacity_ = begin_ = end_ = 0;
}

}  // namespace dualbus::base
