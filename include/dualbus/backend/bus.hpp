#pragma once

#include <dualbus/backend/bus_health.hpp>
#include <dualbus/backend/dedicated_pool.hpp>
#include <dualbus/backend/drain_queue.hpp>
#include <dualbus/backend/durable_links.hpp>
#include <dualbus/backend/link.hpp>
#include <dualbus/backend/master_scout.hpp>
#include <dualbus/backend/name_watch.hpp>
#include <dualbus/backend/relocation.hpp>
#include <dualbus/backend/renewal.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::backend {

/// One worker's access to one bus: a shared link per protocol version, and dedicated ones. The shared RESP3
/// link comes up when a client first asks for it. So does a link for a database other than 0, which closes
/// when it has not been used for a while.
class bus {
 public:
  explicit bus(link_environment environment);

  void start(base::time_point now);
  void stop(base::time_point now);
  /// False while the bus may yet take requests that it lacks. Once stopped, it never gets those.
  bool delivered() const;

  /// `database` is the client's.
  pipeline& requests(resp::protocol version, int database, base::time_point now) {
    if (database != 0) [[unlikely]]
      return of_database(version, database, now);
    auto& l = shared_[version == resp::protocol::resp3 ? 1 : 0];
    if (!l) [[unlikely]]
      open(l, version, now);
    return l->requests;
  }
  dedicated_pool& dedicated() { return dedicated_; }
  /// The bus is to be at another place, or at this one with other settings. With another login its
  /// connections are exchanged, one by one, for ones that use it. For another place its links change over at
  /// one moment (see relocation); in front of it `told` is called, and must drop everything that was learnt
  /// from the old place. Requests that are not begun go to the new place. In a planned move the dedicated
  /// links that are in use stay with the old one until they are given back; then `follow`, see below, is
  /// called.
  void set_place(const config::bus_settings& wanted, moving why, base::time_point now);
  void on_change_of_place(std::function<void(bus&)> told) { told_of_place_ = std::move(told); }
  /// `follow` is called when dedicated links lead to a place that the bus has just left: clients who wait
  /// there would miss what comes at the new place.
  void on_left_behind(std::function<void(bus&)> follow) { told_to_follow_ = std::move(follow); }
  /// True if that dedicated link, which is in use, leads to a place that the bus has left.
  bool has_left(const link& dedicated) { return dedicated_.former_place_of(dedicated) != nullptr; }
  /// For requests that tell the server to which that dedicated link leads something about it.
  pipeline& requests_beside(const link& dedicated, base::time_point now) {
    former_place* const left = dedicated_.former_place_of(dedicated);
    return left != nullptr ? left->requests() : requests(resp::protocol::resp2, 0, now);
  }
  /// For writes that are answered when replicas have them.
  durable_links& durable() { return durable_; }
  /// Tells once that the bus's own connections have been exchanged, and why; other connections to the bus
  /// follow.
  enum class renewed : std::uint8_t { no, login, server };
  renewed take_renewed() { return std::exchange(renewed_, renewed::no); }
  /// Ends the requests of `sink` in the pipelines: see pipeline::give_up(). No further byte of them reaches
  /// the bus.
  void give_up(reply_sink& sink, base::time_point now);
  /// See pipeline::drop_unannounced().
  void drop_unannounced();
  /// Writes what all pipelines hold; once per turn. With bus_settings::coalesce a shared link waits for its
  /// time, unless it holds much.
  void flush(base::time_point now);
  /// The time at which flush() is due for a link that waits so; nothing if none does.
  const std::optional<base::time_point>& next_write() const { return next_write_; }
  void tick(base::time_point now);

  const std::string& name() const { return environment_.name; }
  const server_identity& identity() const { return shared_[0]->socket.identity(); }
  bool up() const { return shared_[0]->socket.state() == metrics::connection_state::up; }
  /// False if it is down, or has owed an answer for so long that it cannot be counted on.
  bool responsive(base::time_point now) const;
  /// The state of the bus: up if it does its job.
  metrics::bus_state state(base::time_point now) const;
  /// The bus's own answer to whether it does its job; doubt() asks it again.
  const bus_health& health() const { return health_; }
  void doubt() { health_.doubt(); }
  /// Takes note of an error that the bus has answered, to whatever request.
  void note_error(std::string_view reply) {
    const bus_error* const error = find_bus_error(reply);
    if (error != nullptr && error->state != metrics::bus_state::up) health_.doubt();
  }
  /// A number that changes with every connection that most requests go over; 0 while there is none.
  std::uint64_t connection_number() const { return known_connection_; }
  /// The time of the bus's last answer.
  base::time_point last_answer() const { return shared_[0]->socket.last_received(); }
  const link_environment& environment() const { return environment_; }

  /// True if it is connected and has more unsent bytes than it should have: then those who write to it wait
  /// in drained().
  bool holds_back() const;
  /// The replies that are arriving on the shared connections, and the clients that they are for.
  std::vector<pipeline::incoming> receiving() const;
  /// Drops the received part of large replies to clients that have gone.
  void drop_large_unneeded();
  /// Told when the pipelines are no longer congested.
  drain_queue& drained() { return drained_; }

  /// Fills in the gauges of this bus.
  void observe(metrics::bus_metrics& out) const;

 private:
  struct database_link {
    std::unique_ptr<backend::link> link;
    base::time_point last_used;
  };

  /// Waits for the answer to bus_health::probe.
  struct prober final : reply_sink {
    explicit prober(bus& of) : of_(of) {}
    void on_reply(std::uint32_t, const reply_view& reply) override { of_.on_probe(reply.bytes); }
    void on_failure(std::uint32_t, failure) override { of_.health_.on_probe_lost(); }
    bool abandoned() const override { return false; }
    bus& of_;
  };

  void on_probe(std::string_view reply);
  void watch_health(base::time_point now);
  void go_to_the_master(base::time_point now);
  void renew_login(base::time_point now);
  void renew(renewed because_of, base::time_point now);
  void run_renewals(base::time_point now);
  void move(const config::bus_settings& to, moving why, base::time_point now);
  void watch_name(base::time_point now);
  void run_relocation(base::time_point now);
  std::vector<link*> links();
  void open(std::unique_ptr<link>& made, resp::protocol version, base::time_point now);
  pipeline& of_database(resp::protocol version, int database, base::time_point now);
  template <typename Visit>
  void each_link(Visit&& visit) const;

  const link_environment environment_;
  std::unique_ptr<link> shared_[2];       // RESP2, RESP3
  std::vector<database_link> databases_;  // others than 0
  std::vector<std::unique_ptr<renewal>> renewals_;
  renewed renewing_ = renewed::no, renewed_ = renewed::no;
  std::unique_ptr<relocation> relocation_;
  name_watch names_{environment_.io, environment_.target};
  std::function<void(bus&)> told_of_place_, told_to_follow_;
  dedicated_pool dedicated_;
  durable_links durable_;
  drain_queue drained_;
  std::optional<base::time_point> next_write_;
  bus_health health_;
  prober prober_{*this};
  master_scout scout_{environment_};
  std::uint64_t known_connection_ = 0;  // the one that health_ speaks of
  base::time_point next_renewal_{};     // for what the scout finds
  std::chrono::milliseconds renewal_delay_{};
};

}  // namespace dualbus::backend
