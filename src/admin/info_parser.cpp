#include "info_parser.hpp"

#include <dualbus/base/printable.hpp>

#include <charconv>
#include <cmath>
#include <cstdio>

namespace dualbus::admin {
namespace {

struct figure_line {
  std::string_view name;
  redis_info::figure redis_info::*member;
};

constexpr figure_line figures[] = {
    {"uptime_in_seconds", &redis_info::uptime_seconds},
    {"connected_clients", &redis_info::connected_clients},
    {"blocked_clients", &redis_info::blocked_clients},
    {"maxclients", &redis_info::maxclients},
    {"used_memory", &redis_info::used_memory},
    {"used_memory_rss", &redis_info::used_memory_rss},
    {"used_memory_peak", &redis_info::used_memory_peak},
    {"maxmemory", &redis_info::maxmemory},
    {"total_system_memory", &redis_info::total_system_memory},
    {"mem_fragmentation_ratio", &redis_info::fragmentation_ratio},
    {"connected_slaves", &redis_info::connected_replicas},
    {"min_slaves_good_slaves", &redis_info::good_replicas},
    {"loading", &redis_info::loading},
    {"aof_enabled", &redis_info::aof_enabled},
    {"rdb_changes_since_last_save", &redis_info::rdb_changes_since_last_save},
    {"rdb_bgsave_in_progress", &redis_info::rdb_save_in_progress},
    {"rdb_last_save_time", &redis_info::rdb_last_save_time},
    {"total_connections_received", &redis_info::connections_received},
    {"rejected_connections", &redis_info::rejected_connections},
    {"total_commands_processed", &redis_info::commands_processed},
    {"total_net_input_bytes", &redis_info::net_input_bytes},
    {"total_net_output_bytes", &redis_info::net_output_bytes},
    {"expired_keys", &redis_info::expired_keys},
    {"evicted_keys", &redis_info::evicted_keys},
    {"keyspace_hits", &redis_info::keyspace_hits},
    {"keyspace_misses", &redis_info::keyspace_misses},
    {"used_cpu_sys", &redis_info::cpu_sys},
    {"used_cpu_user", &redis_info::cpu_user},
    {"used_cpu_sys_main_thread", &redis_info::cpu_sys_main_thread},
    {"used_cpu_user_main_thread", &redis_info::cpu_user_main_thread},
};

struct text_line {
  std::string_view name;
  std::string redis_info::*member;
};

constexpr text_line texts[] = {
    {"redis_version", &redis_info::version},
    {"valkey_version", &redis_info::valkey_version},
    {"redis_mode", &redis_info::mode},
    {"server_mode", &redis_info::mode},  // as Valkey calls it
    {"role", &redis_info::role},
    {"maxmemory_policy", &redis_info::maxmemory_policy},
    {"run_id", &redis_info::run_id},
};

redis_info::figure parse_figure(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0)
    return {};
  return value;
}

// Calls visitor(name, value) for each part of "calls=1,usec=18".
template <typename Visitor>
void visit_parts(std::string_view text, Visitor&& visitor) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(part.size() == text.size() ? part.size() : part.size() + 1);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    if (const auto value = parse_figure(part.substr(equals + 1))) visitor(part.substr(0, equals), *value);
  }
}

// The entry of `name`, or of "other" when the map is full. Several names may share an entry, so add to it.
template <typename Map>
typename Map::mapped_type& entry_of(Map& map, std::string_view name, std::size_t limit) {
  std::string printable = printable_name(name);
  if (map.size() >= limit && map.find(printable) == map.end()) printable = "other";
  return map[std::move(printable)];
}

void parse_command(redis_info& info, std::string_view name, std::string_view value) {
  redis_info::command_stats parsed;
  bool any = false;
  visit_parts(value, [&](std::string_view part, double number) {
    any = true;
    if (part == "calls") parsed.calls = number;
    if (part == "usec") parsed.usec = number;
    if (part == "rejected_calls") parsed.rejected_calls = number;
    if (part == "failed_calls") parsed.failed_calls = number;
  });
  if (!any) return;
  redis_info::command_stats& stats = entry_of(info.commands, name, redis_info::max_commands);
  stats.calls += parsed.calls;
  stats.usec += parsed.usec;
  stats.rejected_calls += parsed.rejected_calls;
  stats.failed_calls += parsed.failed_calls;
}

// Redis takes an error's first word for its code, even in a script's reply, which may be any text.
bool looks_like_error_code(std::string_view name) {
  if (name.empty() || name.size() > 32 || name[0] < 'A' || name[0] > 'Z') return false;
  return name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string_view::npos;
}

void parse_error(redis_info& info, std::string_view name, std::string_view value) {
  if (!looks_like_error_code(name)) name = "other";
  visit_parts(value, [&](std::string_view part, double number) {
    if (part == "count") entry_of(info.errors, name, redis_info::max_errors) += number;
  });
}

bool is_database(std::string_view name) {
  return name.size() > 2 && name.substr(0, 2) == "db" &&
         name.find_first_not_of("0123456789", 2) == std::string_view::npos;
}

void parse_keyspace(redis_info& info, std::string_view name, std::string_view value) {
  visit_parts(value, [&](std::string_view part, double number) {
    if (part == "keys") entry_of(info.keyspace, name, redis_info::max_databases).keys += number;
    if (part == "expires") entry_of(info.keyspace, name, redis_info::max_databases).expires += number;
  });
}

void parse_line(redis_info& info, std::string_view name, std::string_view value) {
  constexpr std::string_view command_prefix = "cmdstat_", error_prefix = "errorstat_";
  if (name.substr(0, command_prefix.size()) == command_prefix) {
    return parse_command(info, name.substr(command_prefix.size()), value);
  }
  if (name.substr(0, error_prefix.size()) == error_prefix) {
    return parse_error(info, name.substr(error_prefix.size()), value);
  }
  if (is_database(name)) return parse_keyspace(info, name, value);
  for (const figure_line& line : figures) {
    if (name == line.name) info.*line.member = parse_figure(value);
  }
  for (const text_line& line : texts) {
    if (name == line.name) info.*line.member = printable_name(value);
  }
  if (name == "aof_last_write_status") info.aof_last_write_ok = value == "ok";
  if (name == "aof_last_bgrewrite_status") info.aof_last_rewrite_ok = value == "ok";
  if (name == "rdb_last_bgsave_status") info.rdb_last_save_ok = value == "ok";
}

}  // namespace

std::string printable_name(std::string_view text) {
  constexpr std::string_view mark = "...";
  constexpr std::size_t escape_bytes = 4;
  std::string result;
  std::size_t cut = 0;  // the longest prefix that leaves room for the mark
  while (!text.empty()) {
    const std::size_t length = base::printable_sequence(text);
    if (result.size() + (length ? length : escape_bytes) > redis_info::max_name_bytes) {
      result.resize(cut);
      return result.append(mark);
    }
    if (length) {
      result.append(text.substr(0, length));
    } else {
      char escaped[escape_bytes + 1];
      std::snprintf(escaped, sizeof escaped, "\\x%02x",
                    static_cast<unsigned>(static_cast<unsigned char>(text[0])));
      result.append(escaped);
    }
    text.remove_prefix(length ? length : 1);
    if (result.size() + mark.size() <= redis_info::max_name_bytes) cut = result.size();
  }
  return result;
}

double redis_info::keys() const {
  double sum = 0;
  for (const auto& [name, stats] : keyspace) sum += stats.keys;
  return sum;
}

bool redis_info::is_doubtful() const {
  const bool full = maxmemory.value_or(0) > 0 && used_memory.value_or(0) >= *maxmemory;
  return (!role.empty() && role != "master") || loading.value_or(0) > 0 ||
         !aof_last_write_ok.value_or(true) || !rdb_last_save_ok.value_or(true) || full ||
         good_replicas.has_value();
}

bool redis_info::evicts_streams() const {
  constexpr std::string_view prefix = "allkeys-";
  return maxmemory.value_or(0) > 0 && std::string_view(maxmemory_policy).substr(0, prefix.size()) == prefix;
}

redis_info parse_info(std::string_view text) {
  redis_info info;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() == text.size() ? line.size() : line.size() + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (line.empty() || line[0] == '#' || colon == std::string_view::npos) continue;
    parse_line(info, line.substr(0, colon), line.substr(colon + 1));
  }
  return info;
}

}  // namespace dualbus::admin
