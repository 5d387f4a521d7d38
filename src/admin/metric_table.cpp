#include <dualbus/admin/metric_table.hpp>

#include <cstddef>
#include <iterator>

namespace dualbus::admin {
namespace {

using enum metric_kind;

// clang-format off
constexpr metric_description table[] = {
    {metric::build_info, gauge, "dualbus_build_info", "version", "Always 1; the label tells the version."},
    {metric::workers, gauge, "dualbus_workers", "", "Worker threads."},

    {metric::clients, gauge, "dualbus_clients", "", "Clients connected now."},
    {metric::clients_accepted, counter, "dualbus_clients_accepted_total", "", "Clients accepted."},
    {metric::clients_not_logged_in, gauge, "dualbus_clients_not_logged_in", "", "Clients connected now that must log in and have not."},
    {metric::clients_rejected, counter, "dualbus_clients_rejected_total", "", "Clients turned away because max_clients were connected."},
    {metric::clients_closed, counter, "dualbus_clients_closed_total", "reason", "Client connections that ended, by reason."},
    {metric::memory, gauge, "dualbus_memory_bytes", "", "Memory that the daemon holds for its clients."},
    {metric::memory_limit, gauge, "dualbus_memory_limit_bytes", "", "The most that it may be: limits.memory."},
    {metric::memory_refusals, counter, "dualbus_memory_refusals_total", "", "Requests refused with OOM because of limits.memory."},
    {metric::client_received_bytes, counter, "dualbus_client_received_bytes_total", "", "Bytes received from clients."},
    {metric::client_sent_bytes, counter, "dualbus_client_sent_bytes_total", "", "Bytes sent to clients."},
    {metric::authentication_failures, counter, "dualbus_authentication_failures_total", "", "Attempts of clients to log in that failed."},
    {metric::permission_denials, counter, "dualbus_permission_denials_total", "", "Requests refused because the user may not make them."},
    {metric::logins_delayed, counter, "dualbus_logins_delayed_total", "", "Log-ins that had to wait because others from the same address had failed."},
    {metric::shares_used_up, counter, "dualbus_client_shares_used_up_total", "", "Times that a client had sent more requests than it gets in one turn of its worker; the others came first."},
    {metric::requests, counter, "dualbus_requests_total", "cmd, outcome", "Requests of clients, by command and by how they ended."},
    {metric::request_outcomes, counter, "dualbus_request_outcomes_total", "outcome", "Requests of clients, by how they ended."},
    {metric::messages_routed, counter, "dualbus_messages_routed_total", "bus, rule, message_type", "Messages (XADD) routed, by bus, by the rule that decided and by message type."},
    {metric::pubsub_clients, gauge, "dualbus_pubsub_clients", "", "Clients with subscriptions now."},
    {metric::pubsub_channels, gauge, "dualbus_pubsub_channels", "", "Channels subscribed to now; one counts once per worker."},
    {metric::pubsub_patterns, gauge, "dualbus_pubsub_patterns", "", "Patterns subscribed to now; one counts once per worker."},
    {metric::pubsub_shard_channels, gauge, "dualbus_pubsub_shard_channels", "", "Shard channels subscribed to now; one counts once per worker."},
    {metric::pubsub_deliveries, counter, "dualbus_pubsub_deliveries_total", "", "Messages given to clients; one counts for each client and subscription that it is for."},
    {metric::pubsub_cut_off, counter, "dualbus_pubsub_clients_cut_off_total", "", "Clients with subscriptions that were closed because they did not read."},
    {metric::pubsub_messages, counter, "dualbus_pubsub_messages_total", "bus", "Messages received from the bus for subscribers."},
    {metric::pubsub_published, counter, "dualbus_pubsub_published_total", "bus, rule", "Messages (PUBLISH, SPUBLISH) routed, by bus and by the rule that decided."},
    {metric::pubsub_interruptions, counter, "dualbus_pubsub_interruptions_total", "bus", "Lost connections for Pub/Sub; subscribers miss what is published on the bus until the next one is up."},
    {metric::pubsub_unconfirmed, counter, "dualbus_pubsub_unconfirmed_total", "bus", "SUBSCRIBE and its kin answered without the bus having carried them out."},
    {metric::json_refused, counter, "dualbus_json_refused_total", "reason, type", "JSON texts that the parser refused and that were searched for the message type byte by byte, by reason and by whether the type was found."},
    {metric::unknown_slot_ids, counter, "dualbus_unknown_slot_ids_total", "", "Entry IDs in requests that name a slot no bus has."},
    {metric::parked_readers, gauge, "dualbus_parked_readers", "", "Readers that wait for entries of a stream."},
    {metric::wake, histogram, "dualbus_wake_seconds", "by", "Time from knowing of an entry to its delivery to a parked reader, by who told: local (an XADD through the same worker) or notified (the bus)."},
    {metric::unstable_reads, counter, "dualbus_unstable_reads_total", "", "Reads answered although an entry might still turn up below their last one, because the IDs are no clock times."},

    {metric::engine_connections, gauge, "dualbus_engine_connections", "engine", "Connections of the engine now."},
    {metric::engine_commands, counter, "dualbus_engine_commands_total", "engine", "Commands of the engine that were answered."},
    {metric::engine_failed_commands, counter, "dualbus_engine_failed_commands_total", "engine", "Commands of the engine that were answered with an error, of Redis or of the daemon."},
    {metric::engine_messages_published, counter, "dualbus_engine_messages_published_total", "engine", "Messages (XADD) of the engine that got an ID."},
    {metric::engine_messages_consumed, counter, "dualbus_engine_messages_consumed_total", "engine", "Entries delivered to the engine by XREAD, and by XREADGROUP as new ones."},
    {metric::engine_polls_absorbed, counter, "dualbus_engine_polls_absorbed_total", "engine", "Reads of the engine that the daemon answered without asking a bus."},
    {metric::engine_backend, counter, "dualbus_engine_backend_seconds_total", "engine", "Time from sending to answer, added up over the requests that the engine caused at buses."},

    {metric::bus_requests, counter, "dualbus_bus_requests_total", "bus", "Requests handed to the bus."},
    {metric::bus_sent_bytes, counter, "dualbus_bus_sent_bytes_total", "bus", "Bytes sent to the bus."},
    {metric::bus_received_bytes, counter, "dualbus_bus_received_bytes_total", "bus", "Bytes received from the bus."},
    {metric::bus_state, gauge, "dualbus_bus_state", "bus, state", "1 for the state that the bus is in, 0 for the others."},
    {metric::bus_last_answer_timestamp, gauge, "dualbus_bus_last_answer_timestamp_seconds", "bus", "When the bus last answered anything, in Unix time."},
    {metric::backend_connections, gauge, "dualbus_backend_connections", "bus, state", "Connections to the bus now, by state."},
    {metric::backend_connects, counter, "dualbus_backend_connects_total", "bus", "Connections to the bus that came up."},
    {metric::backend_connect_failures, counter, "dualbus_backend_connect_failures_total", "bus", "Attempts to connect to the bus that failed."},
    {metric::backend_connections_lost, counter, "dualbus_backend_connections_lost_total", "bus", "Connections to the bus lost after they had been up."},
    {metric::backend_unexpected_replies, counter, "dualbus_backend_unexpected_replies_total", "bus", "Connections to the bus closed because of a reply that nobody asked for, one that was left out, or one that is none."},
    {metric::requests_waiting, gauge, "dualbus_requests_waiting", "bus", "Requests not yet sent to the bus."},
    {metric::requests_in_flight, gauge, "dualbus_requests_in_flight", "bus", "Requests sent to the bus and not yet answered."},
    {metric::requests_abandoned, gauge, "dualbus_requests_abandoned", "bus", "Requests in flight whose answer nobody waits for any more."},
    {metric::request_timeouts, counter, "dualbus_request_timeouts_total", "bus", "Requests given up because the bus did not answer in time."},
    {metric::request_bus_duration, histogram, "dualbus_request_bus_duration_seconds", "bus", "Time from sending a request to the bus to its answer."},
    {metric::request_daemon_duration, histogram, "dualbus_request_daemon_duration_seconds", "bus", "Time that a request spent in the daemon, without the time at the bus."},
    {metric::latency_target, gauge, "dualbus_latency_target_seconds", "bus", "The configured latency target of the bus."},
    {metric::latency_target_missed, counter, "dualbus_latency_target_missed_total", "bus", "Requests that the bus answered later than its latency target."},
    {metric::bus_evicts_streams, gauge, "dualbus_bus_evicts_streams", "bus", "1 if the maxmemory policy of the bus can evict a whole stream."},
    {metric::bus_shares_redis, gauge, "dualbus_bus_shares_redis", "bus", "1 if another bus is the same Redis and database."},
    {metric::reader_wakes, counter, "dualbus_parked_reader_wakes_total", "bus", "Times that a parked reader looked at the bus again."},
    {metric::groups_healed, counter, "dualbus_groups_healed_total", "bus", "Consumer groups that were missing on the bus and were created there."},
    {metric::groups_created, counter, "dualbus_groups_created_total", "bus", "Consumer groups that no bus had and that were created there because missing_group says so."},
    {metric::polls_absorbed, counter, "dualbus_polls_absorbed_total", "bus, reason", "Group reads that the bus was not asked because the answer was known."},
    {metric::entries_omitted, counter, "dualbus_entries_omitted_total", "bus", "Entries of the bus left out of replies because their IDs have no client form."},
    {metric::elements_lost, counter, "dualbus_elements_lost_total", "bus", "Elements that BLPOP or its kin took on the bus for a client that had just gone."},

    {metric::bus_drained, gauge, "dualbus_bus_drained", "bus", "1 if every group of every stream on the draining bus has read and acknowledged all of it."},
    {metric::drain_streams, gauge, "dualbus_drain_streams", "bus", "Streams on the draining bus, without pinned ones, in all databases of its Redis."},
    {metric::drain_streams_drained, gauge, "dualbus_drain_streams_drained", "bus", "Of these, the drained ones."},
    {metric::drain_undelivered_groups, gauge, "dualbus_drain_undelivered_groups", "bus", "Groups on the draining bus that have yet to read entries."},
    {metric::drain_pending_entries, gauge, "dualbus_drain_pending_entries", "bus", "Entries on the draining bus that are delivered and not acknowledged."},
    {metric::drain_missing_groups, gauge, "dualbus_drain_missing_groups", "bus", "Groups on the draining bus that some active bus lacks."},
    {metric::drain_ungrouped_streams, gauge, "dualbus_drain_ungrouped_streams", "bus", "Streams on the draining bus that have entries and no group."},
    {metric::drain_pinned_streams, gauge, "dualbus_drain_pinned_streams", "bus", "Streams on the draining bus that a rule pins to one bus."},
    {metric::drain_other_keys, gauge, "dualbus_drain_other_keys", "bus", "Keys on the draining bus that are no streams, and all keys in other databases of its Redis."},
    {metric::drain_healed_groups, counter, "dualbus_drain_healed_groups_total", "bus", "Groups of the draining bus created on active buses that lacked them."},
    {metric::drain_checks, counter, "dualbus_drain_checks_total", "bus", "Checks of the draining bus that it answered."},
    {metric::drain_check_failures, counter, "dualbus_drain_check_failures_total", "bus", "Checks of the draining bus in which it or another bus failed."},
    {metric::drain_last_check_timestamp, gauge, "dualbus_drain_last_check_timestamp_seconds", "bus", "When the draining bus last answered a check, in Unix time."},

    {metric::log_lines_dropped, counter, "dualbus_log_lines_dropped_total", "reason", "Lines that are missing in the log, by reason."},
    {metric::log_lines_waiting, gauge, "dualbus_log_lines_waiting", "", "Lines of the log that standard error has yet to take."},
    {metric::config_reloads, counter, "dualbus_config_reloads_total", "result", "Reloads of the configuration, by result."},
    {metric::config_last_reload_successful, gauge, "dualbus_config_last_reload_successful", "", "1 if the last reload of the configuration succeeded."},
    {metric::config_last_reload_success_timestamp, gauge, "dualbus_config_last_reload_success_timestamp_seconds", "", "When the configuration was last loaded successfully, in Unix time."},

    {metric::redis_up, gauge, "redis_up", "bus", "1 if Redis answered the last INFO."},
    {metric::redis_cpu_ratio, gauge, "redis_cpu_ratio", "bus", "CPU time that Redis used per time, between the last two INFO; 1 is one core."},
    {metric::redis_cpu_sys, counter, "redis_cpu_sys_seconds_total", "bus", "System CPU time of Redis."},
    {metric::redis_cpu_user, counter, "redis_cpu_user_seconds_total", "bus", "User CPU time of Redis."},
    {metric::redis_cpu_sys_main_thread, counter, "redis_cpu_sys_main_thread_seconds_total", "bus", "System CPU time of the main thread of Redis."},
    {metric::redis_cpu_user_main_thread, counter, "redis_cpu_user_main_thread_seconds_total", "bus", "User CPU time of the main thread of Redis."},
    {metric::redis_connected_clients, gauge, "redis_connected_clients", "bus", "Connections that Redis has now."},
    {metric::redis_blocked_clients, gauge, "redis_blocked_clients", "bus", "Connections that wait in a blocking command of Redis."},
    {metric::redis_connections_received, counter, "redis_connections_received_total", "bus", "Connections that Redis accepted."},
    {metric::redis_rejected_connections, counter, "redis_rejected_connections_total", "bus", "Connections that Redis rejected because of maxclients."},
    {metric::redis_commands_processed, counter, "redis_commands_processed_total", "bus", "Commands that Redis processed."},
    {metric::redis_commands, counter, "redis_commands_total", "bus, cmd", "Calls of a command."},
    {metric::redis_commands_failed_calls, counter, "redis_commands_failed_calls_total", "bus, cmd", "Calls of a command that failed while it ran."},
    {metric::redis_commands_rejected_calls, counter, "redis_commands_rejected_calls_total", "bus, cmd", "Calls of a command that were rejected before it ran."},
    {metric::redis_commands_duration, counter, "redis_commands_duration_seconds_total", "bus, cmd", "Time that Redis spent in a command."},
    {metric::redis_errors, counter, "redis_errors_total", "bus, err", "Errors that Redis answered, by the first word."},
    {metric::redis_memory_used, gauge, "redis_memory_used_bytes", "bus", "Memory that Redis allocated."},
    {metric::redis_memory_used_rss, gauge, "redis_memory_used_rss_bytes", "bus", "Resident memory of Redis."},
    {metric::redis_memory_max, gauge, "redis_memory_max_bytes", "bus", "The maxmemory of Redis; 0 is no limit."},
    {metric::redis_evicted_keys, counter, "redis_evicted_keys_total", "bus", "Keys evicted because of maxmemory."},
    {metric::redis_expired_keys, counter, "redis_expired_keys_total", "bus", "Keys that expired."},
    {metric::redis_keyspace_hits, counter, "redis_keyspace_hits_total", "bus", "Lookups that found their key."},
    {metric::redis_keyspace_misses, counter, "redis_keyspace_misses_total", "bus", "Lookups that did not find their key."},
    {metric::redis_db_keys, gauge, "redis_db_keys", "bus, db", "Keys in a database."},
    {metric::redis_db_keys_expiring, gauge, "redis_db_keys_expiring", "bus, db", "Keys in a database that have a time to live."},
    {metric::redis_net_input_bytes, counter, "redis_net_input_bytes_total", "bus", "Bytes that Redis received."},
    {metric::redis_net_output_bytes, counter, "redis_net_output_bytes_total", "bus", "Bytes that Redis sent."},
    {metric::redis_loading, gauge, "redis_loading_dump_file", "bus", "1 while Redis loads its data from disk."},
    {metric::redis_aof_enabled, gauge, "redis_aof_enabled", "bus", "1 if Redis writes an append-only file."},
    {metric::redis_aof_last_write_status, gauge, "redis_aof_last_write_status", "bus", "1 if the last write to the append-only file succeeded."},
    {metric::redis_rdb_last_save_status, gauge, "redis_rdb_last_bgsave_status", "bus", "1 if the last snapshot succeeded."},
    {metric::redis_rdb_changes, gauge, "redis_rdb_changes_since_last_save", "bus", "Changes that the last snapshot does not hold."},
    {metric::redis_uptime, gauge, "redis_uptime_in_seconds", "bus", "Time since Redis started."},
    {metric::redis_instance_info, gauge, "redis_instance_info", "bus, redis_version, valkey_version, redis_mode, role, maxmemory_policy", "Always 1; the labels tell what Redis it is."},

    {metric::process_cpu, counter, "process_cpu_seconds_total", "", "User and system CPU time of the daemon."},
    {metric::process_resident_memory, gauge, "process_resident_memory_bytes", "", "Resident memory of the daemon."},
    {metric::process_open_fds, gauge, "process_open_fds", "", "Open file descriptors of the daemon."},
    {metric::process_max_fds, gauge, "process_max_fds", "", "The most file descriptors that the daemon may open."},
    {metric::process_start_time, gauge, "process_start_time_seconds", "", "When the daemon started, in Unix time."},
};
// clang-format on

constexpr bool stands_in_order() {
  for (std::size_t i = 0; i < std::size(table); ++i) {
    if (static_cast<std::size_t>(table[i].id) != i) return false;
  }
  return std::size(table) == static_cast<std::size_t>(metric::process_start_time) + 1;
}
static_assert(stands_in_order());

}  // namespace

std::string_view kind_name(metric_kind kind) {
  switch (kind) {
    case counter:
      return "counter";
    case gauge:
      return "gauge";
    case histogram:
      return "histogram";
  }
  return {};
}

std::span<const metric_description> metric_table() {
  return table;
}

}  // namespace dualbus::admin
