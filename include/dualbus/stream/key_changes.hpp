#pragma once

#include <dualbus/command/routing_table.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::stream {

/// Counts the requests that change keys, by bus and over all workers, so that nobody answers from what was
/// true before. Keys share counters by hash: a change may seem to concern other keys and buses as well, never
/// fewer. Any thread.
class key_changes {
 public:
  /// The state of a key's changes on one bus at one moment. If `begun` is the same at two moments, and
  /// nothing was unfinished at the first, nothing that went through this daemon has changed the key there in
  /// between.
  struct state {
    std::uint64_t begun = 0;       ///< requests, so far
    std::uint64_t unfinished = 0;  ///< those of them that are still without an answer
    bool operator==(const state&) const = default;
  };
  state of(std::string_view key, command::bus_index bus) const { return of_hash(hash_of(key), bus); }
  /// The same on each of the first `buses` buses.
  std::vector<state> on_each(std::string_view key, std::size_t buses) const;

 private:
  friend class key_change;
  static constexpr std::size_t counters = 4096;
  struct counter {
    std::atomic<std::uint64_t> begun{0}, ended{0};
  };
  static std::uint64_t hash_of(std::string_view key) { return std::hash<std::string_view>{}(key); }
  /// `bus`: no_bus for a change that concerns all of them.
  static std::uint16_t index_of(std::uint64_t hash, command::bus_index bus) {
    // Each bus, and all of them together, have counters of their own for the key.
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;
    const std::uint64_t part = bus == command::no_bus ? 0 : bus + std::uint64_t{1};
    return static_cast<std::uint16_t>((hash + part * odd) % counters);
  }
  state of_hash(std::uint64_t hash, command::bus_index bus) const;

  std::array<counter, counters + 1> counters_;  // the last one counts for every key
};

/// One request's change of its keys: from before anything of it is sent until its answer is known.
class key_change {
 public:
  key_change() = default;
  key_change(key_change&& other) noexcept
      : of_(std::exchange(other.of_, nullptr)), count_(other.count_), indices_(other.indices_) {}
  key_change& operator=(key_change&& other) noexcept {
    end();
    of_ = std::exchange(other.of_, nullptr);
    count_ = other.count_;
    indices_ = other.indices_;
    return *this;
  }
  ~key_change() { end(); }

  /// `changes` outlives this object and is always the same. Too many keys count as all there are. `bus` is
  /// the one that the request is sent to, or no_bus if it may be any or several.
  void add(key_changes& changes, std::string_view key, command::bus_index bus) {
    if (of_ == nullptr) {
      begin(changes, key_changes::index_of(key_changes::hash_of(key), bus));
    } else {
      add_further(changes, key, bus);
    }
  }
  void add_all(key_changes& changes);
  void end();

 private:
  void begin(key_changes& changes, std::uint16_t index) {
    if (of_ == nullptr) count_ = 0;
    of_ = &changes;
    ++changes.counters_[index].begun;
    indices_[count_++] = index;
  }
  void add_further(key_changes& changes, std::string_view key, command::bus_index bus);

  key_changes* of_ = nullptr;  // null: nothing was begun
  std::uint8_t count_ = 0;
  std::array<std::uint16_t, 3> indices_{};
};

}  // namespace dualbus::stream
