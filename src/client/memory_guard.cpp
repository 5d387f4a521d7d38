#include <dualbus/base/log.hpp>
#include <dualbus/base/memory_reserve.hpp>
#include <dualbus/client/memory_guard.hpp>

#include <algorithm>

namespace dualbus::client {
namespace {

using level = memory_budget::level;

// The end of a client that holds less would not help.
constexpr std::size_t least_victim_bytes = std::size_t{64} << 10;

}  // namespace

std::size_t memory_guard::used_bytes() const {
  const auto kept = static_cast<std::size_t>(std::max<std::ptrdiff_t>(kept_bytes_, 0));
  return clients_.held_bytes() + kept;
}

void memory_guard::settle_now() {
  if (base::memory_reserve_spent()) [[unlikely]]
    return survive();
  act(used_bytes());
}

void memory_guard::tick() {
  act(used_bytes());
  if (holds_clients_) holds_clients_ = clients_.check_held_clients(tight());
}

void memory_guard::act(std::size_t used) {
  share_.bytes.store(used, std::memory_order_relaxed);
  level_ = budget_.now();
  if (level_ == level::free) {
    share_.largest.store(0, std::memory_order_relaxed);
    exhausted_ = false;
    return;
  }
  cut_off(level_ == level::over ? budget_.used() - budget_.limit() + 1 : 0);
  exhausted_ = level_ == level::over && budget_.largest() == 0;
}

// Without an excess it only finds the largest client.
void memory_guard::cut_off(std::size_t excess, bool at_once) {
  std::vector<candidate> candidates = clients_.evictable_clients(least_victim_bytes);
  std::sort(candidates.rbegin(), candidates.rend());
  std::size_t next = 0;
  const auto report = [&] {
    share_.largest.store(next < candidates.size() ? candidates[next].bytes : 0, std::memory_order_relaxed);
  };
  report();
  while (excess > 0 && next < candidates.size() && (at_once || budget_.is_turn_of(share_))) {
    const candidate largest = candidates[next++];
    clients_.cut_off(largest);
    excess -= std::min(excess, largest.bytes);
    const std::size_t told = share_.bytes.load(std::memory_order_relaxed);
    share_.bytes.store(told - std::min(told, largest.bytes), std::memory_order_relaxed);
    report();
  }
  level_ = budget_.now();
}

// An allocation has failed. Its request has ended, or was given the reserve. If there is still too little
// memory for a new reserve, the largest clients are closed, one by one, whatever the limit says.
void memory_guard::survive() {
  const std::size_t used = used_bytes();
  share_.bytes.store(used, std::memory_order_relaxed);
  if (base::renew_memory_reserve()) return;
  base::error_limited(
      {},
      "an allocation failed: clients that hold much of this worker's {} bytes are closed; lower "
      "limits.memory, or allow the process more",
      used);
  for (std::size_t largest = 1; largest > 0 && !base::renew_memory_reserve();) {
    cut_off(1, true);
    largest = share_.largest.load(std::memory_order_relaxed);
  }
}

}  // namespace dualbus::client
