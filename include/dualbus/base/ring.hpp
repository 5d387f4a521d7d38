#pragma once

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace dualbus::base {

/// A first-in first-out queue in one array that doubles when full and is never given back: after a while
/// nothing is allocated. Elements are numbered from the front.
template <typename T>
class ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  T& operator[](std::size_t i) { return slots_[(head_ + i) & (slots_.size() - 1)]; }
  const T& operator[](std::size_t i) const { return slots_[(head_ + i) & (slots_.size() - 1)]; }
  T& front() { return (*this)[0]; }

  void push_back(T value) {
    make_room();
    (*this)[size_++] = std::move(value);
  }
  /// The next push_back() needs no memory.
  void make_room() {
    if (size_ == slots_.size()) grow();
  }
  void pop_front() {
    assert(size_ > 0);
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
  }
  /// Keeps the first `count`.
  void truncate(std::size_t count) {
    assert(count <= size_);
    size_ = count;
  }

 private:
  void grow() {
    std::vector<T> larger(slots_.empty() ? 64 : slots_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    head_ = 0;
  }

  std::vector<T> slots_;
  std::size_t head_ = 0, size_ = 0;
};

}  // namespace dualbus::base
