#pragma once

#include <dualbus/backend/watcher.hpp>
#include <dualbus/session/timer_queue.hpp>
#include <dualbus/stream/empty_polls.hpp>
#include <dualbus/stream/parked_reads.hpp>

#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dualbus::session {

class worker_context;

/// A read that waits in the parking.
class parked_reader {
 public:
  using target = stream::parked_reads::target;
  struct reason {
    stream::parked_reads::cause because = stream::parked_reads::cause::none;
    base::time_point since{};
  };
  /// To look at `targets` again, then to call swept() or leave().
  virtual void on_wake(const std::vector<target>& targets, const reason& why) = 0;
  /// The time is over; it is not parked any more.
  virtual void on_expire() = 0;

 protected:
  ~parked_reader() = default;
};

/// Carries out what stream::parked_reads decides, for one worker: watches keys on the buses, wakes readers,
/// keeps the time. The watchers have connections only while somebody waits, or did so a while ago. A bus that
/// rests (daemon_state::resting_buses) has none: it counts as watched, as long as it rests.
class parking_lot final : private backend::watcher::listener {
 public:
  using reader_id = stream::parked_reads::reader_id;
  using source = stream::parked_reads::source;
  using sightings = stream::parked_reads::sightings;
  using target = stream::parked_reads::target;

  explicit parking_lot(worker_context& context);
  void add_bus(const backend::link_environment& environment);

  // --- for readers, see stream::parked_reads
  // -------------------------------------------------------------------

  sightings look(std::string_view key);
  /// For a read that does not wait.
  sightings watch(std::string_view key, command::bus_index only);
  bool has_queue(std::string_view key, std::string_view group) const { return reads_.has_queue(key, group); }
  reader_id park(parked_reader& reader, const std::vector<source>& sources,
                 std::optional<std::string_view> group, const std::vector<sightings>& seen,
                 std::optional<base::time_point> deadline);
  void swept(reader_id reader, const std::vector<target>& failed, std::optional<base::time_point> again);
  void leave(reader_id reader, bool served);
  bool unblock(reader_id reader);
  bool looks(reader_id reader) const { return reads_.looks(reader); }

  /// Asks the bus's watcher for a sign of life; the number that poll_absorber::on_pong() will be told, or a
  /// later one. 0 if the bus is not watched.
  std::uint64_t ping(command::bus_index bus);
  /// False if a reader had better not ask the bus now, because it might not answer, or refuses to.
  bool usable(command::bus_index bus) const;
  /// The same for a reader of a group.
  bool serves_groups(command::bus_index bus) const;

  // --- for writers
  // ---------------------------------------------------------------------------------------------

  /// Names the key for added(); 0 if nobody waits for it.
  std::uint32_t waited_for(std::string_view key) const { return reads_.waited_for(key); }
  /// An entry is on its way to the bus, in front of what is sent from now on; `key` is from waited_for(), not
  /// 0.
  void added(command::bus_index bus, std::uint32_t key);
  /// The key's groups were changed by a client's request.
  void groups_changed(std::string_view key);

  // --- for the worker
  // ------------------------------------------------------------------------------------------

  /// Does everything that events of this turn have brought about.
  void settle();
  bool settled() const { return reads_.settled(); }
  void flush(base::time_point now);
  void tick(base::time_point now);
  void stop(base::time_point now);
  void renew(command::bus_index bus, base::time_point now) { watchers_[bus]->renew(now); }
  std::size_t readers() const { return reads_.readers(); }
  /// Adds the watcher's connection to the bus's.
  void observe(command::bus_index bus, metrics::bus_metrics& out) const { watchers_[bus]->observe(out); }

 private:
  void on_watcher_up(command::bus_index bus) override;
  void on_watcher_down(command::bus_index bus) override;
  void on_armed(command::bus_index bus, std::string_view key) override;
  void on_changed(command::bus_index bus, std::string_view key) override;
  void on_all_changed(command::bus_index bus) override;
  void on_groups_changed(command::bus_index bus) override;
  void on_pong(command::bus_index bus, std::uint64_t number) override;
  void start_watchers();
  void set_resting(stream::bus_set buses);
  bool is_resting(command::bus_index bus) const { return (resting_ >> bus & 1) != 0; }

  void set_timer();

  worker_context& context_;
  stream::parked_reads reads_;
  std::vector<std::unique_ptr<backend::watcher>> watchers_;
  struct bus_state {
    bool up = true, groups = true;
    std::uint64_t connection = 0;
  };
  std::vector<bus_state> buses_;  // as reads_ knows them
  stream::bus_set resting_ = 0;
  std::unordered_map<reader_id, parked_reader*> readers_;
  std::optional<timer_queue::id> timer_;
  base::time_point last_used_{};
};

}  // namespace dualbus::session
