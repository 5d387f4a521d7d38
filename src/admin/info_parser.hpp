#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace dualbus::admin {

/// The figures that Redis gives about itself in INFO. A figure that the text lacks, or that is not a finite
/// number of at least zero, stays empty, so that nobody exports a zero that was never measured. All names and
/// texts are valid UTF-8 without control characters and have at most `max_name_bytes`: they are fit for
/// labels and pages.
struct redis_info {
  struct command_stats {
    double calls = 0, usec = 0, rejected_calls = 0, failed_calls = 0;
  };
  struct keyspace_stats {
    double keys = 0, expires = 0;
  };
  using figure = std::optional<double>;

  static constexpr std::size_t max_name_bytes = 128;
  /// More than these count under "other": INFO is as long as its server (or its scripts) make it.
  static constexpr std::size_t max_commands = 1000, max_errors = 128, max_databases = 128;

  std::string version, mode, role, maxmemory_policy, run_id;
  std::string valkey_version;  ///< empty for a Redis; for a Valkey, `version` is the Redis that it stands for
  figure uptime_seconds;
  figure connected_clients, blocked_clients, maxclients;
  figure used_memory, used_memory_rss, used_memory_peak, maxmemory, total_system_memory;  ///< bytes
  figure fragmentation_ratio;
  figure connected_replicas;
  figure good_replicas;  ///< only if min-replicas-to-write is set
  figure loading, aof_enabled, rdb_changes_since_last_save, rdb_save_in_progress, rdb_last_save_time;
  std::optional<bool> aof_last_write_ok, aof_last_rewrite_ok, rdb_last_save_ok;
  figure connections_received, rejected_connections, commands_processed;
  figure net_input_bytes, net_output_bytes, expired_keys, evicted_keys, keyspace_hits, keyspace_misses;
  figure cpu_sys, cpu_user, cpu_sys_main_thread, cpu_user_main_thread;  ///< seconds since it started
  std::map<std::string, command_stats, std::less<>> commands;           ///< subcommands as "xgroup|create"
  std::map<std::string, double, std::less<>> errors;                    ///< by the error's first word
  std::map<std::string, keyspace_stats, std::less<>> keyspace;          ///< "db0" …

  /// False for a text that is no INFO at all.
  bool recognised() const { return !version.empty(); }
  /// Name and version for people.
  std::string software() const {
    return valkey_version.empty() ? "Redis " + version : "Valkey " + valkey_version;
  }
  /// The keys of all databases together.
  double keys() const;
  /// True if maxmemory is set and the policy is one of allkeys-*: Redis may drop a whole stream to make room.
  bool evicts_streams() const;
  /// True if this Redis may refuse reads or writes: it is no master, loads its data, could not save it, has
  /// no memory left, or wants more replicas than it has. INFO alone does not tell.
  bool is_doubtful() const;
};

/// Reads INFO's "name:value" lines, ended by CRLF or LF. Lines that make no sense are skipped.
redis_info parse_info(std::string_view text);

/// `text` as a label value: control characters and bytes that are not UTF-8 become "\xNN"; a text longer than
/// redis_info::max_name_bytes is cut, which a trailing "..." shows.
std::string printable_name(std::string_view text);

}  // namespace dualbus::admin
