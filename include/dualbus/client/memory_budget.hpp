#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>

namespace dualbus::client {

/// limits.memory: the bytes that all workers together hold for clients, and the bytes that are left. Each
/// worker reports its own share when that has changed; nothing is counted here per request.
///
///   0 ───────── 3/4 ─────────────── 7/8 ────────────── limit ──────>
///     free           tight               full                over
///     nothing        clients that do     requests that       the largest clients
///     happens        not read replies    need memory are     are cut off
///                    are not read        refused, too
class memory_budget {
 public:
  enum class level : std::uint8_t { free, tight, full, over };

  /// The bytes of one worker, and of its largest client that may be cut off; 0 if there is none, or nobody
  /// has looked yet. Set by that worker only.
  struct alignas(64) share {
    std::atomic<std::size_t> bytes{0}, largest{0};
  };

  /// Adds a worker; before any of them runs.
  share& join() { return shares_.emplace_back(); }

  /// From any thread.
  void set_limit(std::size_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }
  std::size_t limit() const { return limit_.load(std::memory_order_relaxed); }

  std::size_t used() const {
    std::size_t sum = 0;
    for (const share& s : shares_) sum += s.bytes.load(std::memory_order_relaxed);
    return sum;
  }
  /// The largest client of all workers.
  std::size_t largest() const {
    std::size_t most = 0;
    for (const share& s : shares_) most = std::max(most, s.largest.load(std::memory_order_relaxed));
    return most;
  }

  level now() const { return level_of(used(), limit()); }
  static level level_of(std::size_t used, std::size_t limit) {
    if (used >= limit) return level::over;
    if (used >= limit - limit / 8) return level::full;
    return used >= limit - limit / 4 ? level::tight : level::free;
  }

  /// True if this worker is the one to cut off its largest client: no other has a larger one. If far more
  /// than the limit is used, no worker waits for the others.
  bool is_turn_of(const share& worker) const {
    return used() >= limit() + limit() / 8 || worker.largest.load(std::memory_order_relaxed) >= largest();
  }

 private:
  std::atomic<std::size_t> limit_{std::numeric_limits<std::size_t>::max()};
  std::deque<share> shares_;
};

}  // namespace dualbus::client
