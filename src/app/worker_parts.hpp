#pragma once

#include "client_memory.hpp"
#include "daemon_state.hpp"

#include <dualbus/base/poller.hpp>
#include <dualbus/client/departures.hpp>
#include <dualbus/client/door.hpp>
#include <dualbus/client/login_delays.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/handler/dispatcher.hpp>
#include <dualbus/handler/services.hpp>
#include <dualbus/metrics/worker_metrics.hpp>
#include <dualbus/operation/link_queue.hpp>
#include <dualbus/operation/script_spread.hpp>
#include <dualbus/operation/subscription_arrival.hpp>
#include <dualbus/operation/subscription_departure.hpp>

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace dualbus::app {

/// Everything that serves the clients of one worker, put together. All of it belongs to the worker's thread.
class worker_parts final : private handler::colleagues {
 public:
  /// Asks every worker, see handler::colleagues.
  using ask_all_function = std::function<void(question, answers)>;

  worker_parts(boost::asio::io_context& io, std::shared_ptr<const config::configuration> configuration,
               daemon_state& daemon, ask_all_function ask_all);
  ~worker_parts();
  worker_parts(const worker_parts&) = delete;
  worker_parts& operator=(const worker_parts&) = delete;

  // --- for the worker's loop

  /// Enters the worker's turn: sets its time.
  void begin_turn() { turn.begin(); }
  /// Lets held-back clients go on, then writes everything that this turn has brought about, one system call
  /// per connection, and frees the sessions that have ended.
  void end_turn();
  /// The latest time of the next turn, at most `limit`: end_turn() may have left output to write later.
  base::time_point next_write(base::time_point limit) const { return buses_.next_write(limit); }
  /// Called every few ten milliseconds, inside a turn.
  void tick();

  /// Takes over the settings that can change at run time. Between requests only; those in flight are not
  /// touched.
  void reload(std::shared_ptr<const config::configuration> configuration);
  /// The master of a bus with Sentinels is at `address` from now on.
  void follow_master(std::size_t bus, const config::server_address& address);

  // --- at the end

  /// Stops reading from clients; each is closed when all its replies have been written.
  void drain_clients();
  void close_clients();
  /// False while some bus may yet take requests that it lacks.
  bool delivered() const { return buses_.delivered(); }

  /// Fills in the gauges and copies the counters.
  metrics::worker_snapshot snapshot() const;
  /// Answers the questions of other workers.
  handler::colleague& as_colleague() { return colleague_; }

  client::turn turn;
  base::poller poller;
  client::door& door() { return door_; }
  client::departures& departures() { return departures_; }
  operation::subscription_departure& subscribers_leave() { return subscribers_leave_; }
  operation::subscription_arrival& subscribers_come() { return subscribers_come_; }
  operation::bus_list& buses() { return buses_; }
  std::size_t clients() const { return clients_.size(); }

 private:
  void ask(question asked, answers done) override { ask_all_(std::move(asked), std::move(done)); }
  void apply_settings();
  void pass_on_renewals();
  void check_idle_clients();

  daemon_state& daemon_;
  const ask_all_function ask_all_;
  base::chunk_pool reply_chunks_, request_chunks_;
  metrics::worker_metrics metrics_;
  metrics::engine_table engines_;

  // The configuration and the parts that follow it; reload() changes them.
  command::message_counters messages_;
  operation::routing routing_;
  client::access_control access_;
  config::limit_settings limits_;
  config::backend_settings backend_settings_;
  std::vector<config::bus_settings> bus_settings_;
  backend::pipeline_settings pipeline_settings_;

  // Clients.
  client::answer_times times_{metrics_, bus_settings_};
  client::slow_log slow_log_{daemon_.last_slow_id};
  client::client_directory clients_{daemon_.places, turn};
  base::object_pool<client::local_reply> local_replies_;
  client::input_buffers input_;
  client::refusal_counts refusals_;
  client::stranger_list strangers_;
  client::login_delays logins_;

  // The buses, and the operations that clients' requests become.
  operation::bus_list buses_{turn.now};
  operation::durable_writes durable_{buses_, routing_, turn.now};
  operation::environment environment_{turn, buses_, routing_, metrics_, times_, reply_chunks_, durable_};
  operation::parking_lot parking_{environment_, daemon_.resting_buses};
  operation::poll_absorber polls_{environment_, parking_, daemon_.changes};
  operation::subscription_hub hub_{environment_, daemon_.subscriptions, clients_};
  operation::script_spread scripts_{environment_, daemon_.script_flushes};
  operation::forwarder forwarder_{environment_, parking_, scripts_};
  operation::transaction_pool transactions_{environment_};
  operation::transaction_stage stage_{environment_, request_chunks_};
  operation::link_queue links_;
  operation::exec_pools exec_pools_;

  client_memory held_{reply_chunks_, request_chunks_, forwarder_, clients_, buses_, daemon_.memory};
  client::memory_guard memory_{held_, daemon_.memory};

  // The commands.
  handler::traffic_gate gate_;
  handler::colleague colleague_{turn, clients_, gate_, slow_log_, metrics_, refusals_, *this};
  client::session_environment sessions_{
      turn,       poller,    reply_chunks_, local_replies_, input_,    memory_,
      times_,     slow_log_, metrics_,      engines_,       refusals_, daemon_.places,
      strangers_, clients_,  dispatcher_,   access_,        limits_,   bus_settings_.size()};
  client::door door_{sessions_, clients_, daemon_.last_client_id};
  handler::authorization rights_{environment_, access_, logins_, door_, daemon_.places, gate_};
  handler::stream_services streams_{{environment_, parking_, polls_, daemon_.changes}, forwarder_, rights_};
  handler::key_services keys_{environment_, forwarder_, streams_};
  handler::pubsub_services pubsub_{environment_, forwarder_, hub_, daemon_.subscriptions};
  handler::script_services script_services_{environment_, forwarder_, daemon_.script_flushes};
  handler::server_services server_{environment_, forwarder_,    rights_,
                                   colleague_,   daemon_.facts, daemon_.subscriptions};
  handler::transaction_services transaction_services_{
      {environment_, stage_, links_, parking_, daemon_.changes, request_chunks_, exec_pools_},
      transactions_,
      scripts_};
  handler::dispatcher dispatcher_{
      environment_, {streams_, keys_, server_, pubsub_, script_services_, transaction_services_},
      rights_,      gate_,
      memory_,      daemon_.changes};

  operation::subscription_departure subscribers_leave_{environment_, hub_};
  operation::subscription_arrival subscribers_come_{environment_, hub_};
  client::departures departures_{clients_, turn, subscribers_leave_};
  base::time_point next_client_check_{};
};

}  // namespace dualbus::app
