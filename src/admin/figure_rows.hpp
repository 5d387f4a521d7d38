#pragma once

#include "info_parser.hpp"
#include "process_figures.hpp"

#include <dualbus/metrics/metric_description.hpp>

#include <iterator>
#include <optional>

// Figures that the daemon reads elsewhere, and which may be unknown. Each struct of such figures has its
// list.
namespace dualbus::admin {

template <typename Owner>
struct figure_row {
  std::optional<double> Owner::*figure;
  metrics::metric_description metric;
};

// clang-format off
inline constexpr figure_row<process_figures> process_rows[] = {
    {&process_figures::cpu_seconds,
     {metrics::section::daemon, metrics::kind::counter, "process_cpu_seconds_total", "",
      "User and system CPU time of the daemon.",
      "CPU time of the daemon"}},
    {&process_figures::resident_bytes,
     {metrics::section::daemon, metrics::kind::gauge, "process_resident_memory_bytes", "",
      "Resident memory of the daemon.",
      "memory of the daemon"}},
    {&process_figures::open_fds,
     {metrics::section::daemon, metrics::kind::gauge, "process_open_fds", "",
      "Open file descriptors of the daemon.",
      "open file descriptors of the daemon"}},
    {&process_figures::max_fds,
     {metrics::section::daemon, metrics::kind::gauge, "process_max_fds", "",
      "The most file descriptors that the daemon may open.",
      "how many it may open"}},
    {&process_figures::start_unix_seconds,
     {metrics::section::daemon, metrics::kind::gauge, "process_start_time_seconds", "",
      "When the daemon started, in Unix time.",
      "when it started, Unix time"}},
};
static_assert(sizeof(process_figures) == std::size(process_rows) * sizeof(std::optional<double>));

inline constexpr figure_row<redis_info> redis_rows[] = {
    {&redis_info::cpu_sys,
     {metrics::section::redis, metrics::kind::counter, "redis_cpu_sys_seconds_total", "bus",
      "System CPU time of Redis.",
      "system CPU time"}},
    {&redis_info::cpu_user,
     {metrics::section::redis, metrics::kind::counter, "redis_cpu_user_seconds_total", "bus",
      "User CPU time of Redis.",
      "user CPU time"}},
    {&redis_info::cpu_sys_main_thread,
     {metrics::section::redis, metrics::kind::counter, "redis_cpu_sys_main_thread_seconds_total", "bus",
      "System CPU time of the main thread of Redis.",
      "system CPU time of the thread that runs commands"}},
    {&redis_info::cpu_user_main_thread,
     {metrics::section::redis, metrics::kind::counter, "redis_cpu_user_main_thread_seconds_total", "bus",
      "User CPU time of the main thread of Redis.",
      "user CPU time of the thread that runs commands"}},
    {&redis_info::connected_clients,
     {metrics::section::redis, metrics::kind::gauge, "redis_connected_clients", "bus",
      "Connections that Redis has now.",
      "connections now, the daemon's among them"}},
    {&redis_info::blocked_clients,
     {metrics::section::redis, metrics::kind::gauge, "redis_blocked_clients", "bus",
      "Connections that wait in a blocking command of Redis.",
      "connections that wait in a blocking command"}},
    {&redis_info::connections_received,
     {metrics::section::redis, metrics::kind::counter, "redis_connections_received_total", "bus",
      "Connections that Redis accepted.",
      "connections accepted"}},
    {&redis_info::rejected_connections,
     {metrics::section::redis, metrics::kind::counter, "redis_rejected_connections_total", "bus",
      "Connections that Redis rejected because of maxclients.",
      "connections rejected because of `maxclients`"}},
    {&redis_info::commands_processed,
     {metrics::section::redis, metrics::kind::counter, "redis_commands_processed_total", "bus",
      "Commands that Redis processed.",
      "commands processed"}},
    {&redis_info::used_memory,
     {metrics::section::redis, metrics::kind::gauge, "redis_memory_used_bytes", "bus",
      "Memory that Redis allocated.",
      "memory allocated"}},
    {&redis_info::used_memory_rss,
     {metrics::section::redis, metrics::kind::gauge, "redis_memory_used_rss_bytes", "bus",
      "Resident memory of Redis.",
      "resident memory"}},
    {&redis_info::maxmemory,
     {metrics::section::redis, metrics::kind::gauge, "redis_memory_max_bytes", "bus",
      "The maxmemory of Redis; 0 is no limit.",
      "`maxmemory`; 0 is no limit"}},
    {&redis_info::evicted_keys,
     {metrics::section::redis, metrics::kind::counter, "redis_evicted_keys_total", "bus",
      "Keys evicted because of maxmemory.",
      "keys evicted because of `maxmemory`"}},
    {&redis_info::expired_keys,
     {metrics::section::redis, metrics::kind::counter, "redis_expired_keys_total", "bus",
      "Keys that expired.",
      "keys that expired"}},
    {&redis_info::keyspace_hits,
     {metrics::section::redis, metrics::kind::counter, "redis_keyspace_hits_total", "bus",
      "Lookups that found their key.",
      "look-ups that found their key"}},
    {&redis_info::keyspace_misses,
     {metrics::section::redis, metrics::kind::counter, "redis_keyspace_misses_total", "bus",
      "Lookups that did not find their key.",
      "look-ups that did not"}},
    {&redis_info::net_input_bytes,
     {metrics::section::redis, metrics::kind::counter, "redis_net_input_bytes_total", "bus",
      "Bytes that Redis received.",
      "bytes received"}},
    {&redis_info::net_output_bytes,
     {metrics::section::redis, metrics::kind::counter, "redis_net_output_bytes_total", "bus",
      "Bytes that Redis sent.",
      "bytes sent"}},
    {&redis_info::loading,
     {metrics::section::redis, metrics::kind::gauge, "redis_loading_dump_file", "bus",
      "1 while Redis loads its data from disk.",
      "1 while it loads its data"}},
    {&redis_info::aof_enabled,
     {metrics::section::redis, metrics::kind::gauge, "redis_aof_enabled", "bus",
      "1 if Redis writes an append-only file.",
      "1 if it writes an append-only file"}},
    {&redis_info::rdb_changes_since_last_save,
     {metrics::section::redis, metrics::kind::gauge, "redis_rdb_changes_since_last_save", "bus",
      "Changes that the last snapshot does not hold.",
      "changes that the last snapshot doesn't hold"}},
    {&redis_info::uptime_seconds,
     {metrics::section::redis, metrics::kind::gauge, "redis_uptime_in_seconds", "bus",
      "Time since Redis started.",
      "time since it started"}},
};
// clang-format on

}  // namespace dualbus::admin
