#include <dualbus/base/memory_reserve.hpp>

#include <cstdlib>
#include <new>

namespace dualbus::base {
namespace {

std::atomic<void*> reserve{nullptr};
std::atomic<std::size_t> reserve_bytes{0};

void spend() {
  void* const kept = reserve.exchange(nullptr);
  if (kept == nullptr) throw std::bad_alloc();
  detail::reserve_spent = true;
  std::free(kept);
}

}  // namespace

void keep_memory_reserve(std::size_t bytes) {
  reserve_bytes = bytes;
  std::free(
      reserve.exchange(std::malloc(bytes)));  // its pages are never touched, so it costs address space only
  std::set_new_handler(spend);
}

bool renew_memory_reserve() {
  void* const fresh = std::malloc(reserve_bytes);
  if (fresh == nullptr) return false;
  std::free(reserve.exchange(fresh));
  detail::reserve_spent = false;
  return true;
}

}  // namespace dualbus::base
