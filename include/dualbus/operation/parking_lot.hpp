#pragma once

#include <dualbus/backend/read_armer.hpp>
#include <dualbus/backend/watcher.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/stream/empty_polls.hpp>
#include <dualbus/stream/parked_reads.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dualbus::operation {

/// A read that waits in the parking lot.
class parked_reader {
 public:
  using target = stream::parked_reads::target;
  struct reason {
    stream::parked_reads::cause because = stream::parked_reads::cause::none;
    base::time_point since{};
  };
  /// The reader looks at `targets` again, then calls swept() or leave().
  virtual void on_wake(const std::vector<target>& targets, const reason& why) = 0;
  /// The reader's time is over; it is not parked any more.
  virtual void on_expire() = 0;

 protected:
  ~parked_reader() = default;
};

/// Carries out what stream::parked_reads decides, for one worker: watches keys on the buses, wakes readers,
/// keeps the time. The watchers have connections only while somebody waits, or has waited a while ago. A bus
/// that rests (`resting` below) has no watcher's connection: it counts as watched as long as it rests.
///
/// The reads of most clients travel on one shared connection per bus, together with armings
/// (backend::read_armer): they are *in order*. The protocol of the first reader decides on that connection;
/// the watcher watches for clients with the other protocol, and for clients that read without a group.
class parking_lot final : private backend::watcher::listener, private backend::read_armer::listener {
 public:
  using reader_id = stream::parked_reads::reader_id;
  using source = stream::parked_reads::source;
  using sightings = stream::parked_reads::sightings;
  using target = stream::parked_reads::target;

  /// Hears the watchers' events, too.
  class listener {
   public:
    virtual void on_changed(std::string_view key) = 0;
    virtual void on_pong(command::bus_index bus, std::uint64_t number) = 0;
    virtual void on_watcher_down(command::bus_index bus) = 0;

   protected:
    ~listener() = default;
  };

  /// `resting`: buses that need not be watched, shared by all workers. Both outlive it.
  parking_lot(environment& environment, const std::atomic<stream::bus_set>& resting);
  /// Call before any reader comes; the listener outlives the parking lot.
  void set_listener(listener& who) { listener_ = &who; }
  void add_bus(const backend::link_environment& environment);

  // --- for readers, see stream::parked_reads

  sightings look(std::string_view key, bool in_order);
  /// For a read that does not wait.
  sightings watch(std::string_view key, command::bus_index only, bool in_order);
  /// True if group reads of such clients are in order. The first call decides on the protocol.
  bool reads_in_order(resp::protocol version, int database);
  /// Call it in front of each read; sends the arming if there is to be one.
  stream::parked_reads::sighting send(std::string_view key, command::bus_index bus, bool in_order);
  void sent(reader_id reader, target where, const stream::parked_reads::sighting& seen);
  bool has_queue(std::string_view key, std::string_view group) const { return reads_.has_queue(key, group); }
  reader_id park(parked_reader& reader, const std::vector<source>& sources,
                 std::optional<std::string_view> group, const std::vector<sightings>& seen,
                 std::optional<base::time_point> deadline, bool in_order);
  void swept(reader_id reader, const std::vector<target>& failed, std::optional<base::time_point> again);
  void leave(reader_id reader, bool served, const std::vector<target>& ended);
  bool unblock(reader_id reader);
  bool looks(reader_id reader) const { return reads_.looks(reader); }

  /// Asks the bus's watcher for a sign of life. Returns the number that listener::on_pong() will get, unless
  /// it gets a later one; 0 if the bus is not watched.
  std::uint64_t ping(command::bus_index bus);
  /// False if a reader had better not ask the bus now, because the bus might not answer, or refuses to.
  bool usable(command::bus_index bus) const;
  /// The same for a reader of a group.
  bool serves_groups(command::bus_index bus) const;

  // --- for writers

  /// Names the key for added(); 0 if nobody waits for it.
  std::uint32_t waited_for(std::string_view key) const { return reads_.waited_for(key); }
  /// True if the requests of such a client are on the connection of the reads.
  bool in_order(resp::protocol version, int database) const { return database == 0 && version_ == version; }
  /// An entry is on its way to the bus, in front of everything sent from now on; `key` is from waited_for(),
  /// not 0. `in_order`: added_answered() follows.
  void added(command::bus_index bus, std::uint32_t key, bool in_order);
  void added_answered(command::bus_index bus, std::uint32_t key, bool done);
  /// The key's groups were changed by a client's request.
  void groups_changed(std::string_view key);

  // --- for the worker

  /// Carries out everything that events of this turn have brought about.
  void settle();
  bool settled() const { return reads_.settled(); }
  void flush(base::time_point now);
  void tick(base::time_point now);
  void stop(base::time_point now);
  void renew(command::bus_index bus, base::time_point now) { watchers_[bus]->renew(now); }
  std::size_t readers() const { return reads_.readers(); }
  /// Adds the watcher's connection to the figures of the bus.
  void observe(command::bus_index bus, metrics::bus_metrics& out) const { watchers_[bus]->observe(out); }

 private:
  void on_watcher_up(command::bus_index bus) override;
  void on_watcher_down(command::bus_index bus) override;
  void on_armed(command::bus_index bus, std::string_view key) override;
  void on_changed(command::bus_index bus, std::string_view key) override;
  void on_all_changed(command::bus_index bus) override;
  void on_groups_changed(command::bus_index bus) override;
  void on_pong(command::bus_index bus, std::uint64_t number) override;
  void on_armer(command::bus_index bus, bool ready) override;
  void on_armed_in_front(command::bus_index bus, std::uint32_t key, bool done) override;
  void tick_armer(command::bus_index bus, base::time_point now);
  void start_watchers();
  void set_resting(stream::bus_set buses);
  bool is_resting(command::bus_index bus) const { return (resting_ >> bus & 1) != 0; }

  void set_timer();

  environment& env_;
  const std::atomic<stream::bus_set>& all_resting_;
  listener* listener_ = nullptr;
  stream::parked_reads reads_;
  std::vector<std::unique_ptr<backend::watcher>> watchers_;
  std::vector<std::unique_ptr<backend::read_armer>> armers_;
  std::optional<resp::protocol> version_;  // of the connection on which they arm
  struct bus_state {
    bool up = true, groups = true;
    std::uint64_t connection = 0;
  };
  std::vector<bus_state> buses_;  // as reads_ knows them
  stream::bus_set resting_ = 0;
  std::unordered_map<reader_id, parked_reader*> readers_;
  std::optional<client::timer_queue::id> timer_;
  base::time_point last_used_{};
};

}  // namespace dualbus::operation
