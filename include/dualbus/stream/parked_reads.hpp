#pragma once

#include <dualbus/stream/parking.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dualbus::stream {
namespace parking {
struct key_state;
struct queue;
struct reader;
}  // namespace parking

/// The readers that wait for entries; decides which of them has to look again, and when. It sees no socket
/// and no clock: it is told what happens and when, and says what to do.
///
///   TRY (the read itself, outside) ── nothing there ──> park() ──> PARKED ──sweep──> WAKE
///                                                         ^─────── swept(): nothing ──┘ └── leave(): served
///
/// Readers of one group queue up per key, and only the first one looks; readers without a group look each for
/// themselves. A bus is *clean* for a queue if a read there found nothing, was sent while the bus watched the
/// key (*armed*), and nothing has touched the key since: then nothing can be there, and nobody looks. A bus
/// that watches announces the key's next change once; then it has to be armed again.
///
/// Only readers without a group look at a bus that refuses group reads. When a watcher is lost, its bus may
/// be about to be lost as well: nobody looks there before `settling` is over or the watcher is back, except
/// for an entry that goes through this worker.
class parked_reads {
 public:
  /// The time after which a bus that cannot be watched, or is not for the moment, is asked again.
  static constexpr std::chrono::milliseconds unwatched_interval{5};
  /// The time after which a bus whose answer was an error is asked again, unless bus_up() or serves_groups()
  /// comes first.
  static constexpr std::chrono::milliseconds retry_interval{1000};
  /// The time for which a bus is left alone after its watcher has been lost.
  static constexpr std::chrono::milliseconds settling{150};
  /// The time for which a key that nobody waits for stays known, so that the next read need not arm it.
  static constexpr std::chrono::seconds keep_key{60};
  /// The memory that known keys may take; beyond that, those that nobody waits for are forgotten at once.
  static constexpr std::size_t keep_bytes = std::size_t{64} << 20;

  using reader_id = parking::reader_id;
  using source = parking::source;
  using sighting = parking::sighting;
  using sightings = parking::sightings;
  using target = parking::target;
  using cause = parking::cause;
  using action = parking::action;

  explicit parked_reads(std::size_t buses);
  ~parked_reads();

  // --- readers

  /// The knowledge about the key now. `armed`: for a read that is sent now, `in_order` as for send().
  sightings look(std::string_view key, bool in_order, base::time_point now);
  /// Has the source's buses watch the key, for a read that does not wait, unless the read does that itself.
  /// Returns the result of a look() from before that.
  sightings watch(const source& from, bool in_order, base::time_point now);

  struct sending {
    bool arm = false;       ///< an arming goes in front of the read; arming_answered() follows
    std::uint32_t key = 0;  ///< for arming_answered()
    sighting seen;          ///< for park() if the read finds nothing, for sent() if it is one of a sweep
  };
  /// To be called when a read of the key is sent. `in_order`: on the connection on which armings can go in
  /// front.
  sending send(std::string_view key, command::bus_index bus, bool in_order, base::time_point now);
  /// The reader's sweep has sent this read.
  void sent(reader_id reader, target where, const sighting& seen);
  /// True if somebody waits already: then a new reader of the group must not look before him.
  bool has_queue(std::string_view key, std::string_view group) const;

  /// A reader that found nothing begins to wait; `seen` by source and bus, from send(). Without `group` it
  /// stands in no queue. Without `deadline` it waits for ever; a reader that has reached its deadline does
  /// not look any more. `in_order`: its sweeps call send() so, and then sent().
  reader_id park(const std::vector<source>& sources, std::optional<std::string_view> group,
                 const std::vector<sightings>& seen, std::optional<base::time_point> deadline, bool in_order,
                 base::time_point now);
  /// The reader's sweep found nothing. `failed`: targets that did not answer properly. `again`: look once
  /// more at that time, whatever happens, because something was there that could not be delivered yet.
  void swept(reader_id reader, const std::vector<target>& failed, std::optional<base::time_point> again,
             base::time_point now);
  /// The reader is not there any more: served, refused, disconnected. Its sources are armed for the next read
  /// if it was served. `ended`: where its sweep has come to the end of the stream.
  void leave(reader_id reader, bool served, const std::vector<target>& ended, base::time_point now);
  /// The same as leave() unless the reader is looking: false then.
  bool unblock(reader_id reader, base::time_point now);
  /// True from the decision that the reader looks, even before its action is taken, until swept() or leave().
  bool looks(reader_id reader) const;

  // --- buses

  void bus_up(command::bus_index bus, base::time_point now);
  void bus_down(command::bus_index bus);
  /// `serves`: the bus, while it is up, answers readers of groups; at first it does.
  void serves_groups(command::bus_index bus, bool serves, base::time_point now);
  void watcher_up(command::bus_index bus, base::time_point now);
  void watcher_down(command::bus_index bus, base::time_point now);
  /// The bus watches the key now: everything that it answers from here on counts.
  void armed(command::bus_index bus, std::string_view key, base::time_point now);
  /// The bus said that the key has changed; it does not watch it any more.
  void changed(command::bus_index bus, std::string_view key, base::time_point now);
  /// An entry is being added through this worker, in front of any read that is sent from now on: looking
  /// need not wait until the bus announces it, which it will do as well. `key` is from waited_for().
  /// `in_order`: on the connection on which armings go in front; then added_answered() follows.
  void added(command::bus_index bus, std::uint32_t key, bool in_order, base::time_point now);
  /// `done`: the entry is there.
  void added_answered(command::bus_index bus, std::uint32_t key, bool done, base::time_point now);
  /// `does`: armings can go in front of reads; at first they cannot. Call it with false also when the
  /// connection is another one; then armings may begin anew.
  void arms_in_front(command::bus_index bus, bool does, base::time_point now);
  /// `done`: the arming in front of a read was carried out.
  void arming_answered(command::bus_index bus, std::uint32_t key, bool done, base::time_point now);
  /// The key's groups were changed through this worker, which no bus announces.
  void groups_changed(std::string_view key, base::time_point now);
  /// Groups may have been changed behind the worker's back: everybody looks once more.
  void recheck(command::bus_index bus, base::time_point now);

  /// Names the key for added(); 0 if nobody waits for it.
  std::uint32_t waited_for(std::string_view key) const;

  // --- time and results

  void advance(base::time_point now);
  std::optional<base::time_point> next_time() const;
  /// The actions that are due since the last call, in order. Readers that have left meanwhile may be among
  /// them.
  std::vector<action> take_actions() { return std::exchange(actions_, {}); }
  /// True if there is nothing to be done.
  bool settled() const { return actions_.empty(); }

  std::size_t readers() const { return readers_.size(); }
  std::size_t keys() const { return keys_.size(); }

 private:
  using key_state = parking::key_state;
  using queue = parking::queue;
  using reader = parking::reader;
  struct bus_state {
    bool up = true, watched = false, groups = true, fronts = false;
    base::time_point settled{};  // when it is looked at again after its watcher was lost
  };

  key_state& know(std::string_view key, base::time_point now);
  key_state* find(std::string_view key) const;
  void touch(key_state& key, command::bus_index bus, cause why, base::time_point now);
  bool is_clean(const queue& q, command::bus_index bus) const;
  bool fronts(command::bus_index bus) const { return buses_[bus].watched && buses_[bus].fronts; }
  void evaluate(reader& r, base::time_point now);
  void evaluate_heads(key_state& key, base::time_point now);
  void evaluate_all(base::time_point now);
  /// Readers that had an error there need not wait.
  void forgive(command::bus_index bus);
  /// Everybody looks at the bus again, however it answered before.
  void look_again(command::bus_index bus, base::time_point now);
  void remove(reader& r, base::time_point now);
  /// Forgets the keys that nobody waits for and nobody has asked for since.
  void forget(base::time_point since);
  void arm(key_state& key, command::bus_index bus);
  void wake_at(base::time_point when, reader& r);

  std::vector<bus_state> buses_;
  std::unordered_map<std::string, std::unique_ptr<key_state>, parking::string_hash, std::equal_to<>> keys_;
  std::unordered_map<std::uint32_t, key_state*> keys_by_number_;
  std::unordered_map<reader_id, std::unique_ptr<reader>> readers_;
  std::set<std::pair<base::time_point, reader_id>> deadlines_, wakes_;
  std::vector<action> actions_;
  std::size_t key_bytes_ = 0, most_key_bytes_ = keep_bytes;
  std::uint64_t marks_ = 0;
  reader_id last_reader_ = 0;
  std::uint32_t last_key_ = 0;
  base::time_point next_clean_up_{};
};

}  // namespace dualbus::stream
