#pragma once

#include <dualbus/base/clock.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

namespace dualbus::client {

/// The standing of a client where users exist.
enum class standing : std::uint8_t {
  none,      ///< there are no users, or the client is gone
  stranger,  ///< it must log in and has not
  ordinary,
  admin  ///< its user may run CLIENT KILL
};

/// Shares limits.max_clients out where clients must log in. From any thread.
///
///   0 ─────────────────────────────────────── most - reserve ──────── most
///     everybody who has logged in               admins only
///     strangers: all that is free; if nothing is, the oldest makes room for the next
///
/// So strangers alone never keep anybody out, and those who have logged in never keep an admin out.
class client_places {
 public:
  static constexpr std::uint64_t most_reserved = 16;
  /// A sixteenth of all, at most 16.
  static std::uint64_t reserved_for_admins(std::uint64_t most) { return std::min(most_reserved, most / 16); }

  /// Whether one more client that is no admin may log in.
  bool has_room_for_ordinary(std::uint64_t most) const {
    return ordinary_.load(std::memory_order_relaxed) < most - reserved_for_admins(most);
  }
  void change(standing before, standing after) {
    if (before == standing::stranger) strangers_.fetch_sub(1, std::memory_order_relaxed);
    if (before == standing::ordinary) ordinary_.fetch_sub(1, std::memory_order_relaxed);
    if (after == standing::stranger) strangers_.fetch_add(1, std::memory_order_relaxed);
    if (after == standing::ordinary) ordinary_.fetch_add(1, std::memory_order_relaxed);
  }

  /// All clients, whatever their standing.
  std::atomic<std::uint64_t> clients{0};
  /// The clients for which the process may have descriptors, whatever limits.max_clients says.
  std::uint64_t most_clients = ~std::uint64_t{0};

  /// A worker none of whose strangers has had the time to log in may take so many clients beyond the limit:
  /// the workers see the excess, and close as many strangers as soon as these have had it.
  std::uint64_t most_in_excess() const {
    return std::min(most_excess, strangers_.load(std::memory_order_relaxed));
  }

 private:
  /// The process has some descriptors in reserve.
  static constexpr std::uint64_t most_excess = 64;

  std::atomic<std::uint64_t> strangers_{0}, ordinary_{0};
};

/// One worker's clients that have yet to log in, the oldest first.
class stranger_list {
 public:
  struct stranger {
    base::time_point since;
    std::uint64_t client;
    auto operator<=>(const stranger&) const = default;
  };

  void add(stranger who) { strangers_.insert(who); }
  void remove(stranger who) { strangers_.erase(who); }
  std::optional<stranger> oldest() const {
    return strangers_.empty() ? std::nullopt : std::optional(*strangers_.begin());
  }
  std::size_t size() const { return strangers_.size(); }

 private:
  std::set<stranger> strangers_;
};

}  // namespace dualbus::client
