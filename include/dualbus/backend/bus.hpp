#pragma once

#include <dualbus/backend/bus_health.hpp>
#include <dualbus/backend/dedicated_pool.hpp>
#include <dualbus/backend/drain_queue.hpp>
#include <dualbus/backend/link.hpp>
#include <dualbus/backend/master_scout.hpp>
#include <dualbus/backend/renewal.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::backend {

/// Takes what would go to a bus, as long as it is diverted.
class diversion {
 public:
  /// `database` is the client's.
  virtual pipeline& requests(int database) = 0;

 protected:
  ~diversion() = default;
};

/// One worker's access to one bus: a shared link per protocol version, and dedicated ones. The shared RESP3
/// link comes up when a client first asks for it; one for another database than 0 likewise, and goes when it
/// has not been used for a while.
class bus {
 public:
  explicit bus(link_environment environment);

  void start(base::time_point now);
  void stop(base::time_point now);
  /// False while it may yet take requests that it lacks. Once stopped, it never gets the ones it lacks.
  bool delivered() const;

  /// `database` is the client's.
  pipeline& requests(resp::protocol version, int database, base::time_point now) {
    if (diverted_ != nullptr) [[unlikely]]
      return diverted_->requests(database);
    if (database != 0) [[unlikely]]
      return of_database(version, database, now);
    auto& l = shared_[version == resp::protocol::resp3 ? 1 : 0];
    if (!l) [[unlikely]]
      open(l, version, now);
    return l->requests;
  }
  /// As long as it is not null, requests() asks it.
  void divert(diversion* to) { diverted_ = to; }
  dedicated_pool& dedicated() { return dedicated_; }
  /// The bus has another login: connections are exchanged for ones with it. No request fails of that.
  void renew_login(base::time_point now);
  /// Says once that its own connections have been exchanged, and why: others to it follow.
  enum class renewed : std::uint8_t { no, login, server };
  renewed take_renewed() { return std::exchange(renewed_, renewed::no); }
  /// Ends what `sink` has in the pipelines: see pipeline::give_up(). Of what is ended so no byte reaches the
  /// bus from now on.
  void give_up(reply_sink& sink, base::time_point now);
  /// See pipeline::drop_unannounced().
  void drop_unannounced();
  /// Writes what all pipelines hold; once per turn.
  void flush(base::time_point now);
  void tick(base::time_point now);

  const std::string& name() const { return environment_.name; }
  const server_identity& identity() const { return shared_[0]->socket.identity(); }
  bool up() const { return shared_[0]->socket.state() == metrics::connection_state::up; }
  /// False if it is down, or has owed an answer for so long that it cannot be counted on.
  bool responsive(base::time_point now) const;
  /// Whether it does its job.
  metrics::bus_state state(base::time_point now) const;
  /// The answer of its Redis to that; `doubt()` makes it be asked again.
  const bus_health& health() const { return health_; }
  void doubt() { health_.doubt(); }
  /// An error that it has answered, to whatever request.
  void note_error(std::string_view reply) {
    const bus_error* const error = find_bus_error(reply);
    if (error != nullptr && error->state != metrics::bus_state::up) health_.doubt();
  }
  /// Another number for every connection that most requests go over; 0 while there is none.
  std::uint64_t connection_number() const { return known_connection_; }
  /// When it last answered anything.
  base::time_point last_answer() const { return shared_[0]->socket.last_received(); }
  const link_environment& environment() const { return environment_; }

  /// True if it is connected and has more unsent bytes than it should have: then those who write to it wait
  /// in drained().
  bool holds_back() const;
  /// The reply that comes now on the shared connections, and for whom.
  std::vector<pipeline::incoming> receiving() const;
  /// Drops what is there of large replies to clients that have gone.
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
  void renew(renewed because_of, base::time_point now);
  void run_renewals(base::time_point now);
  void open(std::unique_ptr<link>& made, resp::protocol version, base::time_point now);
  pipeline& of_database(resp::protocol version, int database, base::time_point now);
  template <typename Visit>
  void each_link(Visit&& visit) const;

  const link_environment environment_;
  std::unique_ptr<link> shared_[2];       // RESP2, RESP3
  std::vector<database_link> databases_;  // others than 0
  diversion* diverted_ = nullptr;
  std::vector<std::unique_ptr<renewal>> renewals_;
  renewed renewing_ = renewed::no, renewed_ = renewed::no;
  dedicated_pool dedicated_;
  drain_queue drained_;
  bus_health health_;
  prober prober_{*this};
  master_scout scout_{environment_};
  std::uint64_t known_connection_ = 0;  // the one that health_ speaks of
  base::time_point next_renewal_{};     // because of what the scout finds
  std::chrono::milliseconds renewal_delay_{};
};

}  // namespace dualbus::backend
