#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/base/poller.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/worker_metrics.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/session/access_control.hpp>
#include <dualbus/session/client_directory.hpp>
#include <dualbus/session/client_places.hpp>
#include <dualbus/session/daemon_counts.hpp>
#include <dualbus/session/login_delays.hpp>
#include <dualbus/session/memory_guard.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/parking_lot.hpp>
#include <dualbus/session/poll_absorber.hpp>
#include <dualbus/session/script_spread.hpp>
#include <dualbus/session/subscription_hub.hpp>
#include <dualbus/session/subscription_registry.hpp>
#include <dualbus/session/timer_queue.hpp>
#include <dualbus/session/transaction_stage.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace dualbus::session {

class session;
class slow_log;
class traffic_gate;

/// The state that all workers share: counted per connection, never per request.
struct daemon_state {
  std::atomic<std::uint64_t> last_client_id{0};
  std::atomic<std::uint64_t> clients{0};
  /// As many as the process may have descriptors for, whatever limits.max_clients says.
  std::uint64_t most_clients = ~std::uint64_t{0};
  client_places places;
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  std::string run_id;                          ///< 40 hexadecimal digits, as Redis's INFO has
  std::atomic<std::uint64_t> last_slow_id{0};  ///< of SLOWLOG entries
  /// By all workers' requests: what one changes is not answered from memory by another.
  stream::key_changes changes;
  std::atomic<std::uint64_t> script_flushes{0};  ///< SCRIPT FLUSH, so far
  /// Drained buses that need not be watched: nobody adds anything there, and who does is found out by the
  /// next check.
  std::atomic<stream::bus_set> resting_buses{0};
  /// Buses whose INFO looks as if they did not do their job: each worker finds out.
  std::atomic<stream::bus_set> doubted_buses{0};
  subscription_registry subscriptions;
  memory_budget memory;
  counting_start counted_from;  ///< of the counters in INFO
};

/// A part of a request that came without its end: its bytes and how far they were parsed.
struct partial_input {
  base::read_buffer buffer;
  resp::request_parser parser;
};

/// Everything that the sessions of one worker have in common. All of it belongs to the worker's thread.
class worker_context final : private memory_guard::holder {
 public:
  /// Asks every worker something on its own thread, and hands the answers, in the order of the workers, to
  /// `done` on this worker's thread.
  using question = std::function<std::string(worker_context&)>;
  using answers = std::function<void(std::vector<std::string>)>;
  using ask_all_function = std::function<void(question, answers)>;

  worker_context(boost::asio::io_context& io, std::shared_ptr<const config::configuration> configuration,
                 daemon_state& daemon, ask_all_function ask_all);
  ~worker_context();
  worker_context(const worker_context&) = delete;
  worker_context& operator=(const worker_context&) = delete;

  // --- configuration
  // ----------------------------------------------------------------------------------------

  const config::configuration& configuration() const { return *routing_->configuration; }
  /// The rules for requests in that database: in others than 0 every key has one bus.
  command::router& router(std::uint8_t database = 0) {
    return database == 0 ? routing_->router : routing_->other_router;
  }
  /// Another number after each reload.
  std::uint64_t routing_number() const { return reloads_; }
  /// The users of the configuration; they change with it.
  const access_control& access() const { return routing_->access; }
  /// Takes over what can change at run time. Between requests only; those in flight are not touched.
  void reload(std::shared_ptr<const config::configuration> configuration);

  // --- buses
  // ------------------------------------------------------------------------------------------------

  std::size_t bus_count() const { return buses_.size(); }
  backend::bus& bus(command::bus_index index) { return *buses_[index]; }
  const std::string& bus_name(command::bus_index index) const { return buses_[index]->name(); }
  parking_lot& parking() { return parking_; }
  poll_absorber& polls() { return polls_; }
  subscription_hub& subscriptions() { return subscriptions_; }
  /// Another number each time, so that of several buses not always the same one comes first.
  std::ptrdiff_t next_rotation() { return rotation_++; }
  int slot_of(command::bus_index index) const { return slots_[index]; }
  /// The kind of server that clients are told of: that of the default bus, or the oldest that is supported
  /// while that is not known.
  backend::server_identity identity() const;

  // --- the turn
  // ---------------------------------------------------------------------------------------------

  /// Enters the worker's turn: sets `now`.
  void begin_turn();
  /// Lets held-back sessions go on, then writes everything that this turn has brought about, one system call
  /// per connection, and frees what has ended.
  void end_turn();
  /// Called every few ten milliseconds, inside a turn.
  void tick();

  /// The client has used up its share of this turn, and has requests left.
  void go_on_next_turn(session& client) { leftover_.push_back(&client); }
  void forget_leftover(session& client) {
    std::replace(leftover_.begin(), leftover_.end(), &client, static_cast<session*>(nullptr));
  }
  /// The next turn is to come at once.
  bool has_leftover() const { return !leftover_.empty(); }

  void flush_later(session& client);
  void resume_later(session& client);
  /// Counts a finished request's time; `bus_time` is the bus's share of it.
  void observe(command::bus_index bus, base::time_point arrived, base::duration bus_time);

  // --- clients
  // ----------------------------------------------------------------------------------------------

  /// Takes a connection that was accepted; refuses it as Redis does if there are too many.
  void accept(base::unique_fd fd, bool tcp);
  /// limits.max_clients, or fewer if the process may not have so many descriptors.
  std::uint64_t most_clients() const;
  /// Removes an ended session; it is freed at the end of the turn.
  void retire(session& client);
  /// Stops reading from clients; each is closed when what it is owed has been written.
  void drain_clients();
  void close_clients();
  /// Memory ran out while a request was being encoded, for whatever bus: what there is of it goes.
  void drop_unannounced();
  /// False while some bus may yet take requests that it lacks: before the end.
  bool delivered() const;

  std::unique_ptr<partial_input> take_partial();
  void give_partial(std::unique_ptr<partial_input> partial);

  /// Fills in the gauges and copies the counters.
  metrics::worker_snapshot snapshot() const;

  base::time_point now = base::clock::now();
  std::uint32_t turn = 0;  ///< its number
  base::poller poller;
  base::chunk_pool client_chunks;
  base::chunk_pool bus_chunks;
  base::object_pool<forward_operation> forwards;
  base::object_pool<local_operation> locals;
  base::read_buffer shared_input;      ///< for reads of clients that have no partial input
  resp::request_parser shared_parser;  ///< likewise
  command::plan plan;                  ///< of the request being dispatched
  stream::key_change changing;         ///< likewise; its operation takes it
  metrics::worker_metrics metrics;
  refusal_counts refusals;
  metrics::engine_table engines;
  timer_queue timers;
  transaction_stage transactions{*this};
  script_spread scripts{*this};
  client_directory clients;
  stranger_list strangers;
  login_delays logins;
  daemon_state& daemon;
  memory_guard memory{*this, daemon.memory};
  const ask_all_function ask_all;

  // --- for requests that are not just passed on
  // ---------------------------------------------------------------

  /// Users, CLIENT PAUSE or MONITOR want to see each request before it runs: see authorization.hpp.
  bool guarded = false;
  /// Arguments are copied for SLOWLOG.
  bool keeps_arguments = false;
  base::duration slow_threshold = base::duration::max();
  resp::arguments arguments;  ///< of the request being dispatched, while `keeps_arguments`
  std::unique_ptr<slow_log> slow;
  std::unique_ptr<traffic_gate> gate;
  /// The time of this turn's last answer at its bus, as observe() was told; for one that arrived then.
  base::duration last_bus_time(base::time_point arrived) const;

 private:
  /// A configuration and what is derived from it, swapped as one.
  struct routing_snapshot {
    routing_snapshot(std::shared_ptr<const config::configuration> c, command::message_counters& counters)
        : configuration(std::move(c)),
          access(configuration->auth),
          table(configuration->routing),
          router(table, counters, waiting_of(*configuration)),
          other_table(command::with_every_key_pinned(configuration->routing)),
          other_router(other_table, counters, command::waiting_reads::block) {}
    /// A setting that makes the daemon wait otherwise than Redis would makes it wait itself.
    static command::waiting_reads waiting_of(const config::configuration& c) {
      const bool passed = c.routing.server_commands == command::server_commands::passed;
      const bool own = c.missing_group.creates() || c.limits.max_block.count() > 0;
      return passed && !own ? command::waiting_reads::block : command::waiting_reads::park;
    }
    std::shared_ptr<const config::configuration> configuration;
    access_control access;
    command::routing_table table;
    command::router router;
    command::routing_table other_table;  // of other databases than 0
    command::router other_router;
  };
  struct observation {
    base::time_point arrived_plus_bus_time;
    command::bus_index bus;
  };

  void apply_settings();
  void share_out_turn();
  bool make_room();
  void displace_stranger();
  void check_strangers();
  void pass_on_renewals();

  // For the guard of memory: see worker_memory.cpp.
  std::size_t quick_bytes() const {
    return client_chunks.used_bytes() + bus_chunks.used_bytes() +
           static_cast<std::size_t>(base::read_buffer::bytes_of_this_thread());
  }
  std::size_t held_bytes() const override;
  std::vector<memory_guard::candidate> evictable_clients(std::size_t least_bytes) const override;
  void cut_off(const memory_guard::candidate& which) override;
  bool check_held_clients(bool tight) override;

  boost::asio::io_context& io_;
  command::message_counters messages_;
  std::unique_ptr<routing_snapshot> routing_;
  config::backend_settings backend_settings_;
  std::vector<config::bus_settings> bus_settings_;
  backend::pipeline_settings pipeline_settings_;
  std::vector<int> slots_;
  std::vector<std::unique_ptr<backend::bus>> buses_;
  parking_lot parking_{*this};
  poll_absorber polls_{*this};
  subscription_hub subscriptions_{*this};
  std::vector<session*> to_flush_, to_resume_;
  std::deque<session*> leftover_;  // null: it has ended
  std::size_t leftover_before_ = 0;
  std::vector<std::unique_ptr<session>> retired_;
  std::vector<std::unique_ptr<partial_input>> spare_partials_;
  std::vector<observation> observations_;
  base::time_point next_client_check_{};
  std::ptrdiff_t rotation_ = 0;
  std::uint64_t reloads_ = 0;
};

}  // namespace dualbus::session
