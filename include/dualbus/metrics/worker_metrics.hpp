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

/// How a request ended, as its client saw it.
enum class outcome : std::uint8_t {
  ok,
  redis_error,  ///< an error that Redis answered
  refused,      ///< an error of the daemon's own: unknown, malformed, not supported, crossing buses
  bus_down,     ///< not sent
  bus_lost,     ///< sent, outcome unknown
  bus_timeout   ///< sent, no answer in time
};
inline constexpr std::size_t outcome_count = 6;
std::string_view outcome_name(outcome o);

/// Why a client's connection ended.
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

/// Why a read was not sent to a bus.
enum class absorption : std::uint8_t {
  empty,    ///< nothing there for the group
  no_group  ///< no such group
};
inline constexpr std::size_t absorption_count = 2;
std::string_view absorption_name(absorption a);

/// One worker's view of one bus. Counters count from the start; the last six are gauges, filled when a
/// snapshot is taken.
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
  std::array<std::uint64_t, absorption_count> polls_absorbed{};  ///< group reads that it was not asked
  std::uint64_t entries_omitted = 0;       ///< not shown to clients, because their IDs have no client form
  std::uint64_t elements_lost = 0;         ///< taken by BLPOP or its kin for a client that had just gone
  histogram daemon_duration;               ///< what a request spent in the daemon
  histogram bus_duration;                  ///< sent to bus … answered
  std::uint64_t pubsub_messages = 0;       ///< received from it, each once per subscription of the worker
  std::uint64_t pubsub_interruptions = 0;  ///< lost connections for Pub/Sub
  std::uint64_t pubsub_unconfirmed = 0;    ///< subscriptions confirmed, or refused, without it
  std::array<std::uint64_t, command::rule_count> pubsub_published{};  ///< PUBLISH sent to it, by rule
  std::uint64_t wakes = 0;  ///< times that a parked reader looked there again

  std::array<std::uint32_t, connection_state_count> connections{};
  std::array<std::uint32_t, bus_state_count> states{};  ///< workers, by how they see it
  base::time_point last_answer{};                       ///< the latest of anything; zero: none
  std::uint64_t waiting = 0;                            ///< requests not sent yet
  std::uint64_t in_flight = 0;                          ///< sent, not answered
  std::uint64_t abandoned = 0;  ///< of those in flight: nobody waits for the answer any more
};

/// The counts of one worker, in plain fields; copied by the worker itself when scraped.
struct worker_metrics {
  std::uint64_t clients = 0;             ///< gauge
  std::uint64_t strangers = 0;           ///< gauge: of the clients, those that have yet to log in
  std::uint64_t memory_bytes = 0;        ///< gauge: what is held for clients
  std::uint64_t memory_limit_bytes = 0;  ///< gauge: the same for all workers
  std::uint64_t memory_refusals = 0;     ///< requests refused because of it
  std::uint64_t clients_accepted = 0, clients_rejected = 0;
  std::array<std::uint64_t, close_reason_count> clients_closed{};
  std::uint64_t received_bytes = 0, sent_bytes = 0;  ///< from and to clients
  std::uint64_t unknown_commands = 0;
  std::uint64_t authentication_failures = 0, permission_denials = 0;
  std::uint64_t logins_delayed = 0;  ///< because of failures before, from the same address
  std::uint64_t shares_used_up = 0;  ///< times that a client had more requests than a turn has for it
  std::uint64_t parked_readers = 0;  ///< gauge
  /// Gauges: clients with subscriptions, and what they are subscribed to.
  std::uint64_t pubsub_clients = 0, pubsub_channels = 0, pubsub_patterns = 0, pubsub_shard_channels = 0;
  std::uint64_t pubsub_deliveries = 0;  ///< messages given to clients
  std::uint64_t pubsub_cut_off = 0;     ///< clients with subscriptions that did not read
  /// From an entry being known of to its delivery to a parked reader: known from the worker's own XADD, or
  /// from the bus's notification.
  histogram local_wakes, notified_wakes;
  std::uint64_t unstable_reads = 0;  ///< reads answered although entries may still turn up below the last one
  std::uint64_t unknown_slot_ids = 0;         ///< entry IDs of clients that name a slot no bus has
  command::json_fault_counts refused_json{};  ///< filled when a snapshot is taken
  /// By index in command_table().
  std::vector<std::array<std::uint64_t, outcome_count>> commands =
      std::vector<std::array<std::uint64_t, outcome_count>>(command::command_table().size());
  std::vector<bus_metrics> buses;

  std::uint64_t requests() const;
};

/// One worker's counters at one moment.
struct worker_snapshot {
  worker_metrics metrics;
  /// Messages by type: per bus, by rule.
  std::map<std::string, command::message_counters::row> messages;
  /// By name; also those that nothing was counted for.
  std::map<std::string, engine_counters> engines;
};

}  // namespace dualbus::metrics
