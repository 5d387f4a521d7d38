#pragma once

#include <atomic>
#include <cstddef>

// A reserve of memory for the moment when there is none left: requests under way can be finished, and
// something can be given up afterwards. Only limits of address space and strict overcommitment make an
// allocation fail; if control groups limit memory, the kernel ends the process instead.
namespace dualbus::base {

/// From here on an allocation that fails frees the reserve and is tried again. Without a reserve left it
/// throws std::bad_alloc, as ever.
void keep_memory_reserve(std::size_t bytes);

namespace detail {
inline constinit std::atomic<bool> reserve_spent{false};
}

/// True from the use of the reserve until renew_memory_reserve() succeeds. May be called from any thread.
inline bool memory_reserve_spent() {
  return detail::reserve_spent.load(std::memory_order_relaxed);
}
/// To be called when memory has been given up. False if there is still too little.
bool renew_memory_reserve();

}  // namespace dualbus::base
