#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace dualbus::base {

/// Objects of one type for one thread, allocated in blocks and reused; blocks go back to the heap with the
/// pool. All objects must have been destroyed before the pool is.
template <typename T>
class object_pool {
 public:
  object_pool() = default;
  object_pool(const object_pool&) = delete;
  object_pool& operator=(const object_pool&) = delete;

  template <typename... Args>
  [[gnu::always_inline]] T* create(Args&&... args) {
    if (free_ == nullptr) grow();
    slot* s = std::exchange(free_, free_->next);
    ++in_use_;
    return ::new (static_cast<void*>(s->storage)) T(std::forward<Args>(args)...);
  }

  void destroy(T* object) {
    object->~T();
    slot* s = reinterpret_cast<slot*>(object);
    s->next = free_;
    free_ = s;
    --in_use_;
  }

  std::size_t in_use() const { return in_use_; }

 private:
  union slot {
    slot* next;
    alignas(T) std::byte storage[sizeof(T)];
  };
  static constexpr std::size_t block_slots = 64;

  void grow() {
    blocks_.push_back(std::make_unique<slot[]>(block_slots));
    for (std::size_t i = 0; i < block_slots; ++i) {
      blocks_.back()[i].next = free_;
      free_ = &blocks_.back()[i];
    }
  }

  slot* free_ = nullptr;
  std::size_t in_use_ = 0;
  std::vector<std::unique_ptr<slot[]>> blocks_;
};

}  // namespace dualbus::base
