#pragma once

#include <dualbus/metrics/metric_description.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace dualbus::admin {

/// The metrics that have no row in a list beside a struct: the exporter makes their values.
enum class metric : std::uint8_t {
  build_info,
  workers,
  ready,
  draining,
  log_lines_dropped,
  log_lines_waiting,
  config_reloads,
  config_last_reload_successful,
  config_last_reload_success_timestamp,
  config_info,
  hand_overs,
  request_outcomes,
  messages_routed,
  latency_target,
  bus_evicts_streams,
  bus_shares_redis,
  bus_master_info,
  failovers,
  sentinel_up,
  sentinel_failures,
  sentinel_refused_masters,
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
  redis_up,
  redis_cpu_ratio,
  redis_commands,
  redis_commands_failed_calls,
  redis_commands_rejected_calls,
  redis_commands_duration,
  redis_errors,
  redis_db_keys,
  redis_db_keys_expiring,
  redis_aof_last_write_status,
  redis_aof_last_rewrite_status,
  redis_rdb_last_save_status,
  redis_instance_info
};
inline constexpr std::size_t metric_count = static_cast<std::size_t>(metric::redis_instance_info) + 1;

const metrics::metric_description& describe(metric m);

/// Every metric of the daemon, each once, in the order of the page and of the reference.
std::span<const metrics::metric_description> metric_table();

}  // namespace dualbus::admin
