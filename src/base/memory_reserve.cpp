#include <dualbus/base/memory_reserve.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

namespace dualbus::base {
namespace {

std::atomic<void*> reserve{nullptr};
std::atomic<std::size_t> reserve_bytes{0};
std::atomic<bool> spent{false};

void spend() {
  void* const kept = reserve.exchange(nullptr);
  if (kept == nullptr) throw std::bad_alloc();
  spent = true;
  std::free(kept);
}

}  // namespace

void keep_memory_reserve(std::size_t bytes) {
  reserve_bytes = bytes;
  std::free(
      reserve.exchange(std::malloc(bytes)));  // its pages are never touched, so it costs address space only
  std::set_new_handler(spend);
}

bool memory_reserve_spent() {
  return spent.load(std::memory_order_relaxed);
}

bool renew_memory_reserve() {
  void* const fresh = std::malloc(reserve_bytes);
  if (fresh == nullptr) return false;
  std::free(reserve.exchange(fresh));
  spent = false;
  return true;
}

}  // namespace dualbus::base
