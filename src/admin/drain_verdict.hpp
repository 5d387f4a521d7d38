#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// When a draining bus may be given up: the findings of one check, and the verdict that follows from them.
// Nothing here knows a server. IDs are in the form that the bus stores.
//
// `lag`, Redis's own estimate of what a group has yet to read, is shown and decides nothing: it may be null,
// and stays above zero when entries were deleted before they were read.

namespace dualbus::admin {

/// A consumer group of a stream on a draining bus.
struct drain_group {
  struct pending_entry {
    stream::bus_id id;
    std::string consumer;
    std::chrono::milliseconds idle{0};  ///< since an entry was last delivered to it
    std::uint64_t deliveries = 0;
  };

  std::string name;
  bool ignored = false;                        ///< by configuration
  stream::bus_id position;                     ///< last-delivered-id
  std::optional<stream::bus_id> next;          ///< the first entry that was not delivered, if there is one
  std::optional<std::uint64_t> lag;            ///< as Redis tells it
  std::uint64_t pending = 0;                   ///< entries delivered and not acknowledged
  std::optional<pending_entry> first_pending;  ///< the one with the lowest ID
  /// The time since the most active consumer with pending entries was seen.
  std::optional<std::chrono::milliseconds> consumer_idle;
  std::vector<command::bus_index> missing_on;  ///< active buses without the group
  std::vector<command::bus_index> unknown_on;  ///< active buses that did not answer
};

/// A stream on a draining bus; a logical one unless it lies in another database than the bus's.
struct drain_stream {
  std::string key;
  int database = 0;     ///< Redis's number
  bool logical = true;  ///< has parts on all buses; a stream in another database is on one bus as a whole
  std::uint64_t length = 0;
  stream::bus_id last_generated;
  std::chrono::milliseconds quiet_for{0};  ///< how long last_generated is known not to have changed
  std::vector<drain_group> groups;
};

enum class drain_verdict : std::uint8_t {
  unknown,  ///< nothing is known to hold it back, but not every bus answered
  held,     ///< something holds it back
  drained
};

/// An ignored group is never held.
drain_verdict judge(const drain_group& group);
/// `quiet`: for this time no entry may have been added.
drain_verdict judge(const drain_stream& stream, std::chrono::milliseconds quiet);

/// Remembers, over many checks, since when the last-generated-id of each stream of a database has stood
/// still. It needs about as much memory as the names, a fraction of the memory of the streams in Redis.
class quiet_watch {
 public:
  /// Begins a new check; all calls from now on belong to it.
  void begin();
  /// False if the key was given in this check before; SCAN may repeat keys.
  bool first_time(const std::string& key);
  std::chrono::milliseconds observe(const std::string& key, stream::bus_id last_generated,
                                    base::time_point now);
  /// Ends a complete check: forgets streams that are gone.
  void end();

 private:
  struct entry {
    stream::bus_id last_generated;
    base::time_point since;
    std::uint64_t check = 0;  // the last one in which the key was there
    bool observed = false;
  };
  std::unordered_map<std::string, entry> entries_;
  std::uint64_t check_ = 0;
};

/// The result of one check of a bus: counts of everything, and lists of up to max_listed elements each.
class drain_report {
 public:
  static constexpr std::size_t max_listed = 1000;

  struct row {  ///< a group or stream that holds the bus back, or might if its verdict is unknown
    std::string stream;
    int database = 0;
    bool logical = true;
    std::optional<drain_group> group;  ///< empty: the stream itself, which is not quiet yet
    std::chrono::milliseconds quiet_for{0};
  };
  struct ungrouped_stream {
    std::string stream;
    int database = 0;
    std::uint64_t length = 0;
  };
  struct pinned_stream {
    std::string stream;
    command::bus_index bus = command::no_bus;
  };
  template <typename Row>
  struct list {
    std::uint64_t total = 0;
    std::vector<Row> rows;
    void add(Row&& next) {
      if (++total <= max_listed) rows.push_back(std::move(next));
    }
  };

  explicit drain_report(std::chrono::milliseconds quiet) : quiet_(quiet) {}

  void add(drain_stream&& stream);
  /// A stream that a rule for keys pins to one bus; it is no logical stream.
  void add_pinned(std::string key, command::bus_index bus) { pinned_.add({std::move(key), bus}); }
  /// `keys` is the number of all keys in the bus's database.
  void set_keys(std::uint64_t keys);
  /// Adds the keys of another database: nothing there is moved or made elsewhere, so all of them count as
  /// other keys.
  void add_other_keys(std::uint64_t keys) { elsewhere_ += keys; }

  drain_verdict verdict() const;
  std::uint64_t streams() const { return streams_; }  ///< without pinned ones
  std::uint64_t streams_drained() const { return drained_; }
  std::uint64_t undelivered_groups() const {
    return undelivered_groups_;
  }                                                                 ///< without ignored ones, as below
  std::uint64_t missing_groups() const { return missing_groups_; }  ///< that some active bus lacks
  std::uint64_t pending_entries() const { return pending_entries_; }
  /// Keys that are no streams, and all keys of other databases.
  std::uint64_t other_keys() const { return other_keys_ + elsewhere_; }

  const list<row>& held() const { return held_; }  ///< includes the rows of an unknown verdict
  const list<row>& ignored() const { return ignored_; }
  const list<ungrouped_stream>& ungrouped() const {
    return ungrouped_;
  }  ///< with entries, but without groups
  const list<pinned_stream>& pinned() const { return pinned_; }

 private:
  std::chrono::milliseconds quiet_;
  std::uint64_t streams_ = 0, drained_ = 0, held_streams_ = 0;
  std::uint64_t undelivered_groups_ = 0, missing_groups_ = 0, pending_entries_ = 0, other_keys_ = 0;
  std::uint64_t logical_streams_ = 0, elsewhere_ = 0;
  list<row> held_, ignored_;
  list<ungrouped_stream> ungrouped_;
  list<pinned_stream> pinned_;
};

}  // namespace dualbus::admin
