#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/stream/key_changes.hpp>
#include <dualbus/stream/parked_reads.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dualbus::stream {

/// Buses as bits, by index.
using bus_set = std::uint32_t;

/// Knows which group reads need not be asked, because a bus has just answered them with nothing or with
/// NOGROUP and nothing has happened since. It sees no socket and no clock.
///
/// A read of new entries that came to the end of the stream proves that the group has had everything; only a
/// change of the key or of the group on that bus undoes that. Changes of the key show in the sightings, if
/// the bus watched the key when the read was sent; changes that go through this daemon show in the key's
/// changes; changes that others make to groups do not show at all, and bound the time for which an answer
/// counts.
class empty_polls {
 public:
  struct limits {
    base::duration nil{};       ///< the time for which a read that came to the end counts
    base::duration no_group{};  ///< the time for which an answer NOGROUP counts
  };

  /// All that was known of a key at one moment, before a read of it was sent.
  struct view {
    parked_reads::sightings buses;
    std::vector<key_changes::state> changes;  ///< by bus
    base::time_point at{};
  };

  struct poll {
    std::string_view key, group, consumer;
    std::size_t size() const { return key.size() + group.size() + consumer.size(); }
  };

  /// Peers make the names up. Reads with longer names, or with one consumer too many, are asked every time.
  static constexpr std::size_t max_name_bytes = 512;  ///< of key, group and consumer together
  static constexpr std::size_t max_consumers = 100'000;

  explicit empty_polls(std::size_t buses) : buses_(buses) {}

  /// The buses that `p` need not ask, because they have no entries for it.
  bus_set empty(const poll& p, const view& now_seen, const limits& most, base::time_point now) const;
  /// True if there is no such group.
  bool no_group(const poll& p, const view& now_seen, const limits& most, base::time_point now) const;

  /// The poll was answered without any bus now.
  void absorbed(const poll& p, base::time_point now);
  /// The time of the last such answer; long ago if it is not known.
  base::time_point last_absorbed(const poll& p) const;
  /// True if this consumer has polled the key lately.
  bool polls(const poll& p) const;

  /// The poll is sent to the bus now.
  void asked(const poll& p, command::bus_index bus, base::time_point now);
  /// The bus had fewer entries for the group than the read would have taken: nothing is behind them. `seen`
  /// is from before that read was sent.
  void reached_end(const poll& p, command::bus_index bus, const view& seen);
  /// Every bus that decides on it said that there is no such group: `buses`.
  void found_no_group(const poll& p, bus_set buses, const view& seen);
  /// Frees the knowledge that no limit lets count any more.
  void clean_up(const limits& most, base::time_point now);
  std::size_t groups() const;

 private:
  struct end {
    std::uint64_t mark = 0;
    key_changes::state changes;
    base::time_point sent{};
  };
  struct consumer_state {
    std::vector<base::time_point> asked;  // by bus, when it last was
    base::time_point absorbed{};
  };
  struct absence {
    bus_set buses;
    view seen;
  };
  struct string_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <typename Value>
  using by_name = std::unordered_map<std::string, Value, string_hash, std::equal_to<>>;
  struct group_state {
    std::vector<end> ends;  // by bus; one without a time of sending is none
    std::optional<absence> absent;
    by_name<consumer_state> consumers;
  };

  const group_state* find(const poll& p) const;
  group_state* find(const poll& p) { return const_cast<group_state*>(std::as_const(*this).find(p)); }
  const consumer_state* find_consumer(const poll& p) const;
  /// The consumer's state, made if there is room; else null.
  consumer_state* know(const poll& p);

  std::size_t buses_;
  std::size_t consumers_ = 0;
  by_name<by_name<group_state>> keys_;
};

}  // namespace dualbus::stream
