#pragma once

#include <dualbus/base/memory_reserve.hpp>
#include <dualbus/client/memory_budget.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dualbus::client {

/// Keeps one worker's clients within limits.memory. Counts what the worker holds for them: unread replies,
/// parts of replies to be merged, requests that came in part, transactions, and bytes that no bus has taken
/// yet. In this order, as memory fills (see memory_budget):
///
///   tight  no requests are read from a client that has many replies to read; if it reads none for a
///          while, it is cut off;
///   full   large requests, and commands to be queued by MULTI, are refused;
///   over   the largest clients are cut off until the limit holds, as Redis's maxmemory-clients does. If
///          no client's end would help, everything for a bus is refused.
class memory_guard {
 public:
  struct candidate {
    std::size_t bytes;
    std::uint64_t client;
    bool operator<(const candidate& other) const { return bytes < other.bytes; }
  };
  /// The worker, as the guard sees it.
  class holder {
   public:
    /// All bytes held for clients, except those that note_kept() is told of.
    virtual std::size_t held_bytes() const = 0;
    /// The clients that may be cut off and hold at least so many bytes.
    virtual std::vector<candidate> evictable_clients(std::size_t least_bytes) const = 0;
    /// Closes the client, and says so in the log.
    virtual void cut_off(const candidate& which) = 0;
    /// Lets clients go on that need not be held back any more; true if some are still held back.
    virtual bool check_held_clients(bool tight) = 0;

   protected:
    ~holder() = default;
  };

  /// Both outlive it.
  memory_guard(holder& clients, memory_budget& budget)
      : clients_(clients), budget_(budget), share_(budget.join()) {}

  // --- per request: these functions only look at a byte
  bool tight() const { return level_ != memory_budget::level::free; }
  /// `queued`: the request would wait in MULTI; `local`: no bus is asked.
  bool refuses(std::size_t request_bytes, bool queued, bool local) const {
    if (level_ < memory_budget::level::full) [[likely]]
      return false;
    return queued || request_bytes >= large_request_bytes || (exhausted_ && !local);
  }

  /// Parts of replies that are kept to be merged came, or went (negative).
  void note_kept(std::ptrdiff_t bytes) { kept_bytes_ += bytes; }
  /// A client is not read until its memory is checked again.
  void note_held() { holds_clients_ = true; }

  /// At the end of every turn, when output has been written: acts if the bytes held have changed much, or an
  /// allocation has failed. `quick_bytes` is the part of them that may grow much in one turn.
  void settle(std::size_t quick_bytes) {
    quick_bytes += static_cast<std::size_t>(kept_bytes_);
    // One comparison for both directions.
    if (quick_bytes - settled_bytes_ + grain_bytes <= 2 * grain_bytes && !base::memory_reserve_spent())
        [[likely]]
      return;
    settled_bytes_ = quick_bytes;
    settle_now();
  }
  /// Every few ten milliseconds.
  void tick();

  std::size_t used_bytes() const;

 private:
  // Changes of less than this are told to the other workers with the next tick.
  static constexpr std::size_t grain_bytes = std::size_t{256} << 10;
  static constexpr std::size_t large_request_bytes = std::size_t{16} << 10;

  void settle_now();
  void act(std::size_t used);
  void cut_off(std::size_t excess, bool at_once = false);
  void survive();

  holder& clients_;
  memory_budget& budget_;
  memory_budget::share& share_;
  std::ptrdiff_t kept_bytes_ = 0;
  std::size_t settled_bytes_ = 0;
  memory_budget::level level_ = memory_budget::level::free;
  bool exhausted_ = false, holds_clients_ = false;
};

}  // namespace dualbus::client
