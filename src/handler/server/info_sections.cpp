#include "info_sections.hpp"

#include "figure_merge.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>

#include <cstdint>
#include <fmt/format.h>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace dualbus::handler {
namespace {

struct merged_field {
  std::string_view name;
  merging how;
};

constexpr merged_field persistence_fields[] = {
    {"loading", merging::largest},
    {"async_loading", merging::largest},
    {"rdb_changes_since_last_save", merging::sum},
    {"rdb_bgsave_in_progress", merging::largest},
    {"rdb_last_save_time", merging::smallest},
    {"rdb_last_bgsave_status", merging::worst},
    {"aof_enabled", merging::smallest},
    {"aof_rewrite_in_progress", merging::largest},
    {"aof_rewrite_scheduled", merging::largest},
    {"aof_last_bgrewrite_status", merging::worst},
    {"aof_last_write_status", merging::worst},
};

constexpr merged_field stats_fields[] = {
    {"expired_keys", merging::sum},    {"evicted_keys", merging::sum}, {"keyspace_hits", merging::sum},
    {"keyspace_misses", merging::sum}, {"total_forks", merging::sum},  {"latest_fork_usec", merging::largest},
};

// The fields that Redis also shows in a form for people.
constexpr merged_field memory_fields[] = {
    {"used_memory", merging::sum},      {"used_memory_rss", merging::sum},
    {"used_memory_peak", merging::sum}, {"used_memory_dataset", merging::sum},
    {"maxmemory", merging::limit},
};

constexpr merged_field replication_fields[] = {
    {"connected_slaves", merging::smallest},
    {"master_link_status", merging::worst},
};

constexpr std::string_view bus_fields[] = {
    "redis_version",
    "server_name",
    "valkey_version",
    "uptime_in_seconds",
    "connected_clients",
    "blocked_clients",
    "used_memory",
    "used_memory_rss",
    "used_memory_peak",
    "mem_fragmentation_ratio",
    "maxmemory",
    "maxmemory_policy",
    "loading",
    "rdb_changes_since_last_save",
    "rdb_bgsave_in_progress",
    "rdb_last_save_time",
    "rdb_last_bgsave_status",
    "aof_enabled",
    "aof_rewrite_in_progress",
    "aof_last_write_status",
    "total_connections_received",
    "total_commands_processed",
    "instantaneous_ops_per_sec",
    "rejected_connections",
    "expired_keys",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
    "total_error_replies",
    "role",
    "connected_slaves",
    "master_link_status",
    "used_cpu_sys",
    "used_cpu_user",
};

// The field's value over all buses that know it.
std::optional<std::string> merged(const merged_field& field, const std::vector<bus_info>& buses) {
  std::vector<std::string_view> values;
  for (const bus_info& bus : buses) {
    if (const std::string_view value = bus.field(field.name); !value.empty()) values.push_back(value);
  }
  return merge(field.how, values);
}

template <typename Fields>
std::string merged_lines(const Fields& fields, const std::vector<bus_info>& buses) {
  std::string lines;
  for (const merged_field& field : fields) {
    if (const auto value = merged(field, buses)) lines += fmt::format("{}:{}\r\n", field.name, *value);
  }
  return lines;
}

// An amount as Redis writes it for people (util.c, bytesToHuman).
std::string human(std::uint64_t bytes) {
  constexpr std::string_view units = "BKMGT";
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < units.size(); ++unit) amount /= 1024;
  return unit == 0 ? fmt::format("{}B", bytes) : fmt::format("{:.2f}{}", amount, units[unit]);
}

std::string amount_lines(std::string_view name, std::uint64_t bytes) {
  return fmt::format("{0}:{1}\r\n{0}_human:{2}\r\n", name, bytes, human(bytes));
}

struct command_line {
  std::uint64_t calls = 0, usec = 0, rejected = 0, failed = 0;
};

command_line counted(const daemon_counts::outcomes& of_command) {
  using enum metrics::outcome;
  const auto of = [&](metrics::outcome which) { return daemon_counts::of(of_command, which); };
  const std::uint64_t unknown = of(bus_lost) + of(bus_timeout) + of(unconfirmed);
  return {.calls = of(ok) + of(redis_error) + unknown,
          .rejected = of(refused) + of(bus_down),
          .failed = of(redis_error) + unknown};
}

}  // namespace

std::string completed(std::string own, std::string_view name, const bus_info& bus) {
  std::set<std::string, std::less<>> known;
  bus_info::for_each(own, [&](std::string_view field, std::string_view) { known.emplace(field); });
  bus_info::for_each(bus.section(name), [&](std::string_view field, std::string_view value) {
    if (!known.contains(field)) own += fmt::format("{}:{}\r\n", field, value);
  });
  return own;
}

std::vector<std::pair<std::string, std::string>> software_of(const backend::server_identity& identity,
                                                             const bus_info& bus) {
  std::vector<std::pair<std::string, std::string>> fields;
  bus_info::for_each(bus.section("server"), [&](std::string_view field, std::string_view value) {
    const bool wanted =
        field == "server_name" || field.ends_with("_version") || field.ends_with("_release_stage");
    if (wanted && field != "gcc_version") fields.emplace_back(field, value);
  });
  if (!fields.empty()) return fields;
  fields.emplace_back("redis_version", identity.redis_version());
  if (identity.known() && identity.name != "redis") {
    fields.emplace_back("server_name", identity.name);
    fields.emplace_back(identity.name + "_version", identity.version);
  }
  return fields;
}

std::string commandstats_section(const daemon_counts& counts, const std::vector<bus_info>& buses,
                                 const bus_info* alone) {
  const auto& table = command::command_table();
  std::map<std::string, command_line, std::less<>> lines;
  for (const bus_info& bus : buses) {
    bus_info::for_each(bus.section("commandstats"), [&](std::string_view field, std::string_view values) {
      if (!field.starts_with("cmdstat_")) return;
      command_line& line = lines[std::string(field.substr(8))];
      line.usec += bus_info::number(values, "usec");
      if (&bus != alone) return;
      line.calls = bus_info::number(values, "calls");
      line.rejected = bus_info::number(values, "rejected_calls");
      line.failed = bus_info::number(values, "failed_calls");
    });
  }
  for (std::size_t i = 0; i < table.size(); ++i) {
    const command_line own = counted(counts.commands[i]);
    command_line& line = lines[std::string(table[i].name)];
    if (alone == nullptr || table[i].route == command::route::local) {
      line = {own.calls, alone == nullptr ? line.usec : 0, own.rejected, own.failed};
    } else {
      line.rejected += own.rejected;
    }
  }
  std::string text = "# Commandstats\r\n";
  for (const auto& [name, line] : lines) {
    if (line.calls + line.rejected + line.failed == 0) continue;
    const double each =
        line.calls == 0 ? 0 : static_cast<double>(line.usec) / static_cast<double>(line.calls);
    text +=
        fmt::format("cmdstat_{}:calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}\r\n",
                    name, line.calls, line.usec, each, line.rejected, line.failed);
  }
  return text;
}

error_totals::error_totals(const daemon_counts& counts, const std::vector<bus_info>& buses)
    : errors_(counts.refusals.by_code()) {
  using enum metrics::outcome;
  const daemon_counts::outcomes all = counts.all_commands();
  errors_.erase("BUSDOWN");  // some of these refusals are counted with the commands
  add("BUSDOWN", daemon_counts::of(all, bus_down));
  add("BUSLOST", daemon_counts::of(all, bus_lost));
  add("BUSTIMEOUT", daemon_counts::of(all, bus_timeout));
  add("UNCONFIRMED", daemon_counts::of(all, unconfirmed));
  for (const bus_info& bus : buses) {
    bus_info::for_each(bus.section("errorstats"), [this](std::string_view field, std::string_view values) {
      if (field.starts_with("errorstat_")) add(field.substr(10), bus_info::number(values, "count"));
    });
  }
}

void error_totals::add(std::string_view code, std::uint64_t count) {
  if (count > 0) errors_[std::string(code)] += count;
}

std::uint64_t error_totals::sum() const {
  std::uint64_t total = 0;
  for (const auto& [code, count] : errors_) total += count;
  return total;
}

std::string error_totals::section() const {
  std::string text = "# Errorstats\r\n";
  for (const auto& [code, count] : errors_) text += fmt::format("errorstat_{}:count={}\r\n", code, count);
  return text;
}

std::string persistence_section(const std::vector<bus_info>& buses) {
  return "# Persistence\r\n" + merged_lines(persistence_fields, buses);
}

std::string summed_stats(const std::vector<bus_info>& buses) {
  return merged_lines(stats_fields, buses);
}

std::string memory_section(const daemon_memory& own, const std::vector<bus_info>& buses) {
  std::string text = "# Memory\r\n";
  for (const merged_field& field : memory_fields) {
    const auto value = merged(field, buses);
    if (value) text += amount_lines(field.name, base::parse_uint64(*value).value_or(0));
  }
  text += merged_lines(std::initializer_list<merged_field>{{"maxmemory_policy", merging::policy}}, buses);
  return text + amount_lines("dualbus_memory_rss", own.resident_bytes) +
         amount_lines("dualbus_memory_peak", own.peak_bytes);
}

std::string replication_section(const std::vector<bus_info>& buses) {
  const auto role = merged({"role", merging::role}, buses);
  return "# Replication\r\nrole:" + role.value_or("master") + "\r\n" +
         merged_lines(replication_fields, buses);
}

std::string bus_section(std::string_view name, const bus_info& bus) {
  std::string text = fmt::format("# Bus_{}\r\n", name);
  for (const std::string_view field : bus_fields) {
    const std::string_view value = bus.field(field);
    if (!value.empty()) text += fmt::format("bus_{}_{}:{}\r\n", name, field, value);
  }
  return text;
}

}  // namespace dualbus::handler
