#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <sys/uio.h>

namespace dualbus::base {

struct chunk;

/// Free chunks of one size, for the queues of one thread. The pool must outlive its queues.
class chunk_pool {
 public:
  /// Keeps at most `max_free` chunks of `chunk_bytes` each for reuse; the rest goes back to the heap.
  explicit chunk_pool(std::size_t chunk_bytes, std::size_t max_free);
  ~chunk_pool();
  chunk_pool(const chunk_pool&) = delete;
  chunk_pool& operator=(const chunk_pool&) = delete;

  std::size_t chunk_bytes() const { return chunk_bytes_; }
  /// The bytes of all chunks that queues have now, full or not.
  std::size_t used_bytes() const { return used_bytes_; }

 private:
  friend class chunk_queue;
  /// A small chunk if `small` is set and `at_least` bytes fit into one.
  chunk* take(std::size_t at_least, bool small);
  void give(chunk* c);

  struct free_list {
    chunk* first = nullptr;
    std::size_t count = 0;
  };
  free_list& list_of(std::size_t capacity);

  free_list regular_, small_;
  std::size_t used_bytes_ = 0;
  const std::size_t chunk_bytes_, max_free_;
};

/// Bytes waiting to be written: appended at the end, gathered into iovecs and consumed at the front.
/// An empty queue holds no chunk. Appending copies once; splice() moves chunks without copying.
class chunk_queue {
 public:
  /// `small`: the queue begins with a small chunk; for queues that are many and mostly short.
  explicit chunk_queue(chunk_pool& pool, bool small = false) : pool_(&pool), small_(small) {}
  ~chunk_queue() { clear(); }
  chunk_queue(chunk_queue&& other) noexcept;
  chunk_queue& operator=(chunk_queue&&) = delete;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  /// When memory runs out it throws std::bad_alloc, and a part may have been appended.
  void append(std::string_view bytes);
  /// Contiguous room for `bytes` (at most 256), to be written at once; commit() tells how many were written.
  char* reserve(std::size_t bytes);
  void commit(std::size_t bytes);
  /// Moves all of `other` to the end of this queue. Both use the same pool.
  void splice(chunk_queue& other);

  /// Fills up to `count` iovecs from the front; returns how many.
  int gather(iovec* vectors, int count) const;
  /// Drops the first `bytes`, which must be there.
  void consume(std::size_t bytes);
  /// Takes out `bytes` behind the first `from`, all of which must be there. Bytes move within chunks only.
  void erase(std::size_t from, std::size_t bytes);
  void clear();
  /// Empties the queue, and returns what it held.
  std::string take_all();

 private:
  void add_chunk(std::size_t at_least);

  chunk_pool* pool_;
  bool small_;
  chunk* head_ = nullptr;
  chunk* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace dualbus::base
