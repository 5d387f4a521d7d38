#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace dualbus::base {

/// Bytes that were received and not yet used, in one piece: [consumed | data | free].
///
/// Call order: prepare(), receive into the span, commit(), look at data(), consume() from its front. Views
/// into data() live until the next prepare(), swap or destruction. Consuming moves nothing; bytes move only
/// when prepare() finds too little room behind them, and then large buffers grow by mremap, which copies
/// nothing. An empty buffer owns no memory until prepare().
class read_buffer {
 public:
  /// Bytes behind data() that may always be read (not written): simdjson reads up to 64 past its input.
  static constexpr std::size_t padding = 64;

  read_buffer() = default;
  ~read_buffer();
  read_buffer(read_buffer&& other) noexcept;
  read_buffer& operator=(read_buffer&& other) noexcept;
  read_buffer(const read_buffer&) = delete;
  read_buffer& operator=(const read_buffer&) = delete;

  /// Room for at least `bytes` behind the data.
  std::span<char> prepare(std::size_t bytes);
  void commit(std::size_t bytes) { end_ += bytes; }
  void consume(std::size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  std::string_view data() const { return {memory_ + begin_, end_ - begin_}; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  std::size_t capacity() const { return capacity_; }

  /// The memory of all buffers that this thread has made grow, less what it has freed. Below zero on a thread
  /// that frees the buffers of others.
  static std::ptrdiff_t bytes_of_this_thread() { return bytes_held_; }

  /// Appends a copy of `bytes`.
  void append(std::string_view bytes);
  /// Drops the data and gives the memory back.
  void release();

 private:
  static constinit inline thread_local std::ptrdiff_t bytes_held_ = 0;

  char* memory_ = nullptr;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace dualbus::base
