#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace dualbus::admin {

/// Every metric of the daemon, in the order of the page. docs/metrics.md explains each to users.
enum class metric : std::uint8_t {
  build_info,
  workers,
  clients,
  clients_accepted,
  clients_not_logged_in,
  clients_rejected,
  clients_closed,
  memory,
  memory_limit,
  memory_refusals,
  client_received_bytes,
  client_sent_bytes,
  authentication_failures,
  permission_denials,
  logins_delayed,
  shares_used_up,
  requests,
  request_outcomes,
  messages_routed,
  pubsub_clients,
  pubsub_channels,
  pubsub_patterns,
  pubsub_shard_channels,
  pubsub_deliveries,
  pubsub_cut_off,
  pubsub_messages,
  pubsub_published,
  pubsub_interruptions,
  pubsub_unconfirmed,
  json_refused,
  unknown_slot_ids,
  parked_readers,
  wake,
  unstable_reads,
  engine_connections,
  engine_commands,
  engine_failed_commands,
  engine_messages_published,
  engine_messages_consumed,
  engine_polls_absorbed,
  engine_backend,
  bus_requests,
  bus_sent_bytes,
  bus_received_bytes,
  bus_state,
  bus_last_answer_timestamp,
  backend_connections,
  backend_connects,
  backend_connect_failures,
  backend_connections_lost,
  backend_unexpected_replies,
  requests_waiting,
  requests_in_flight,
  requests_abandoned,
  request_timeouts,
  request_bus_duration,
  request_daemon_duration,
  latency_target,
  latency_target_missed,
  bus_evicts_streams,
  bus_shares_redis,
  reader_wakes,
  groups_healed,
  groups_created,
  polls_absorbed,
  entries_omitted,
  elements_lost,
  bus_drained,
  drain_streams,
  drain_streams_drained,
  drain_undelivered_groups,
  drain_pending_entries,
  drain_missing_groups,
  drain_ungrouped_streams,
  drain_pinned_streams,
  drain_other_keys,
  drain_healed_groups,
  drain_checks,
  drain_check_failures,
  drain_last_check_timestamp,
  log_lines_dropped,
  log_lines_waiting,
  config_reloads,
  config_last_reload_successful,
  config_last_reload_success_timestamp,
  redis_up,
  redis_cpu_ratio,
  redis_cpu_sys,
  redis_cpu_user,
  redis_cpu_sys_main_thread,
  redis_cpu_user_main_thread,
  redis_connected_clients,
  redis_blocked_clients,
  redis_connections_received,
  redis_rejected_connections,
  redis_commands_processed,
  redis_commands,
  redis_commands_failed_calls,
  redis_commands_rejected_calls,
  redis_commands_duration,
  redis_errors,
  redis_memory_used,
  redis_memory_used_rss,
  redis_memory_max,
  redis_evicted_keys,
  redis_expired_keys,
  redis_keyspace_hits,
  redis_keyspace_misses,
  redis_db_keys,
  redis_db_keys_expiring,
  redis_net_input_bytes,
  redis_net_output_bytes,
  redis_loading,
  redis_aof_enabled,
  redis_aof_last_write_status,
  redis_rdb_last_save_status,
  redis_rdb_changes,
  redis_uptime,
  redis_instance_info,
  process_cpu,
  process_resident_memory,
  process_open_fds,
  process_max_fds,
  process_start_time
};

enum class metric_kind : std::uint8_t { counter, gauge, histogram };
std::string_view kind_name(metric_kind kind);

struct metric_description {
  metric id;
  metric_kind kind;
  std::string_view name;
  std::string_view labels;  ///< separated by ", ", without a histogram's "le"
  std::string_view help;
};

/// By metric.
std::span<const metric_description> metric_table();
inline const metric_description& describe(metric m) {
  return metric_table()[static_cast<std::size_t>(m)];
}

}  // namespace dualbus::admin
