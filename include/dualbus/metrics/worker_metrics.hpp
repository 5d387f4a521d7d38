#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/command/classifier.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/metrics/bus_state.hpp>
#include <dualbus/metrics/engine_table.hpp>
#include <dualbus/metrics/histogram.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::metrics {

/// The end of a request, as its client saw it.
enum class outcome : std::uint8_t {
  ok,
  redis_error,  ///< an error that Redis answered
  refused,      ///< an error of the daemon's own: unknown, malformed, not supported, crossing buses
  bus_down,     ///< not sent
  bus_lost,     ///< sent, outcome unknown
  bus_timeout,  ///< sent, no answer in time
  unconfirmed   ///< a write that the bus has, and that was not confirmed in time
};
inline constexpr std::size_t outcome_count = 7;
std::string_view outcome_name(outcome o);

/// The reason why a client's connection ended.
enum class close_reason : std::uint8_t {
  client,  ///< it closed, or QUIT
  protocol_error,
  output_limit,  ///< it did not read
  idle,
  killed,  ///< CLIENT KILL
  shutdown,
  memory,         ///< all clients together had more than limits.memory
  login_timeout,  ///< it had to log in and did not
  displaced       ///< it had not logged in, and a new client needed its place
};
inline constexpr std::size_t close_reason_count = 9;
std::string_view close_reason_name(close_reason r);

enum class connection_state : std::uint8_t { disconnected, connecting, handshake, up };
inline constexpr std::size_t connection_state_count = 4;
std::string_view connection_state_name(connection_state s);

/// The reason why a read was not sent to a bus.
enum class absorption : std::uint8_t {
  empty,    ///< nothing there that is new for the group
  no_group  ///< no such group
};
inline constexpr std::size_t absorption_count = 2;
std::string_view absorption_name(absorption a);

/// One worker's view of one bus. Counters count from the start; the last seven are gauges, filled when a
/// snapshot is taken. Each field has its row in bus_rows.hpp.
struct bus_metrics {
  std::uint64_t sent_bytes = 0, received_bytes = 0;
  std::uint64_t requests = 0;  ///< handed to the bus's pipelines
  std::uint64_t connects = 0;  ///< connections that came up
  std::uint64_t connect_failures = 0;
  std::uint64_t connections_lost = 0;  ///< that had been up
  std::uint64_t timeouts = 0;          ///< requests given up after request_timeout
  std::uint64_t unexpected_replies =
      0;  ///< connections closed because of a reply nobody asked for, or garbage
  std::uint64_t latency_target_missed = 0;
  std::uint64_t groups_healed = 0;   ///< groups that were missing on it, and have been created there
  std::uint64_t groups_created = 0;  ///< groups that no bus had, and have been created there
  std::array<std::uint64_t, absorption_count> polls_absorbed{};  ///< group reads that the bus was not asked
  std::uint64_t entries_omitted = 0;       ///< entries not shown, because their IDs have no client form
  std::uint64_t elements_lost = 0;         ///< elements that BLPOP or its kin took for a client that had gone
  histogram daemon_duration;               ///< time that a request spent in the daemon
  histogram bus_duration;                  ///< from sending to the bus's answer
  std::uint64_t pubsub_messages = 0;       ///< received, each once per subscription of the worker
  std::uint64_t pubsub_interruptions = 0;  ///< lost connections for Pub/Sub
  std::uint64_t pubsub_unconfirmed = 0;    ///< subscriptions confirmed, or refused, without the bus
  std::array<std::uint64_t, command::rule_count> pubsub_published{};  ///< PUBLISH sent to the bus, by rule
  std::uint64_t wakes = 0;             ///< times that a parked reader looked at the bus again
  std::uint64_t confirmations = 0;     ///< WAIT and WAITAOF that confirmed the writes before them
  std::uint64_t confirmed_writes = 0;  ///< the writes that were confirmed so
  std::uint64_t unconfirmed = 0;       ///< writes that were not confirmed in time
  histogram confirmation_duration;     ///< from sending WAIT or WAITAOF to its answer

  std::array<std::uint32_t, connection_state_count> connections{};
  std::array<std::uint32_t, bus_state_count> states{};  ///< number of workers that see the bus in each state
  base::time_point last_answer{};                       ///< time of the latest answer; zero: none
  base::time_point down_since{};                        ///< time since which it is not up; zero: it is
  std::uint64_t waiting = 0;                            ///< requests not sent yet
  std::uint64_t in_flight = 0;                          ///< sent, not answered
  std::uint64_t abandoned = 0;  ///< of those in flight: nobody waits for the answer any more

  /// Adds another worker's view of the same bus.
  bus_metrics& operator+=(const bus_metrics& other);
};

/// The counts of one worker, in plain fields; copied by the worker itself when scraped. Each field has its
/// row in worker_rows.hpp.
struct worker_metrics {
  std::uint64_t clients = 0;             ///< gauge
  std::uint64_t clients_limit = 0;       ///< gauge: the same for all workers
  std::uint64_t strangers = 0;           ///< gauge: of the clients, those that have yet to log in
  std::uint64_t memory_bytes = 0;        ///< gauge: memory held for clients
  std::uint64_t memory_limit_bytes = 0;  ///< gauge: the same for all workers
  std::uint64_t memory_refusals = 0;     ///< requests refused because of the limit
  std::uint64_t clients_accepted = 0, clients_rejected = 0;
  std::array<std::uint64_t, close_reason_count> clients_closed{};
  std::uint64_t received_bytes = 0, sent_bytes = 0;  ///< from and to clients
  std::uint64_t unknown_commands = 0;
  std::uint64_t authentication_failures = 0, permission_denials = 0;
  std::uint64_t logins_delayed = 0;  ///< log-ins that waited because others from the same address had failed
  std::uint64_t shares_used_up = 0;  ///< times that a client had more requests than it gets in a turn
  std::uint64_t parked_readers = 0;  ///< gauge
  /// Gauges: clients with subscriptions, and their channels and patterns.
  std::uint64_t pubsub_clients = 0, pubsub_channels = 0, pubsub_patterns = 0, pubsub_shard_channels = 0;
  std::uint64_t pubsub_deliveries = 0;  ///< messages given to clients
  std::uint64_t pubsub_cut_off = 0;     ///< clients with subscriptions that did not read
  /// From the moment when an entry becomes known to its delivery to a parked reader. It becomes known by the
  /// worker's own XADD (local), or by the bus's notification (notified).
  histogram local_wakes, notified_wakes;
  std::uint64_t unstable_reads = 0;  ///< reads answered although entries may still turn up below the last one
  std::uint64_t unknown_slot_ids = 0;         ///< entry IDs of clients that name a slot no bus has
  command::json_fault_counts refused_json{};  ///< filled when a snapshot is taken
  /// By index in command_table().
  std::vector<std::array<std::uint64_t, outcome_count>> commands =
      std::vector<std::array<std::uint64_t, outcome_count>>(command::command_table().size());
  std::vector<bus_metrics> buses;

  std::uint64_t requests() const;
  /// Adds another worker's counts.
  worker_metrics& operator+=(const worker_metrics& other);
};

/// One worker's counters at one moment.
struct worker_snapshot {
  worker_metrics metrics;
  /// Messages by type: per bus, by rule.
  std::map<std::string, command::message_counters::row> messages;
  /// By name; includes engines without counts.
  std::map<std::string, engine_counters> engines;
};

}  // namespace dualbus::metrics
