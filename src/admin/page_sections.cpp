#include "page_sections.hpp"

#include "readiness.hpp"

#include <dualbus/console/tables.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace dualbus::admin {
namespace {

constexpr std::size_t shown_types = 20;
constexpr std::size_t shown_engines = 50;
constexpr std::size_t ten_seconds = 1;  // of console::windows

std::string count(std::optional<double> value) {
  return value ? fmt::format("{:.0f}", *value) : "-";
}

std::string milliseconds(std::int64_t ns) {
  return fmt::format("{:g} ms", static_cast<double>(ns) / 1e6);
}

// The bound of the bucket that holds the 99th percentile.
std::string percentile_99(const metrics::histogram& values) {
  const std::uint64_t total = values.total();
  if (total == 0) return "-";
  const std::uint64_t rank = total - total / 100;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < metrics::histogram::bounds_ns.size(); ++i) {
    seen += values.count(i);
    if (seen >= rank) return "&le; " + milliseconds(metrics::histogram::bounds_ns[i]);
  }
  return "&gt; " + milliseconds(metrics::histogram::bounds_ns.back());
}

std::string redis_cell(const bus_status& status) {
  if (status.up && status.info) return "up, " + escaped(status.info->software());
  if (status.error.empty()) return "not asked yet";
  return "<b class=bad>down</b>: " + escaped(status.error);
}

std::string memory_cell(const bus_status& status) {
  if (!status.up || !status.info) return "-";
  const redis_info& info = *status.info;
  std::string out = byte_text(info.used_memory);
  if (info.maxmemory.value_or(0) > 0) {
    out += " of " + byte_text(info.maxmemory) + ", " + escaped(info.maxmemory_policy);
    if (info.evicts_streams()) out += " <b class=bad>can evict whole streams</b>";
  }
  return out;
}

std::string connections_cell(const metrics::bus_metrics& totals) {
  std::string out;
  for (std::size_t i = metrics::connection_state_count; i-- > 0;) {
    if (totals.connections[i] == 0) continue;
    if (!out.empty()) out += ", ";
    out += fmt::format("{} {}", totals.connections[i],
                       metrics::connection_state_name(static_cast<metrics::connection_state>(i)));
  }
  return out.empty() ? "none" : out;
}

std::string state_cell(const bus_standing& now) {
  return now.up() ? "up" : "<b class=bad>" + escaped(standing_text(now)) + "</b>";
}

std::uint64_t messages_on(const command::message_counters::row& counts, std::size_t bus) {
  if (bus >= counts.size()) return 0;
  return std::accumulate(counts[bus].begin(), counts[bus].end(), std::uint64_t{0});
}

std::string per_second(const console::by_window& rates) {
  return rates[ten_seconds] ? fmt::format("{:.1f}", *rates[ten_seconds]) : "-";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string table_row(std::string_view tag, const std::vector<std::string>& cells) {
  std::string out = "<tr>";
  for (const std::string& cell : cells) out += fmt::format("<{0}>{1}</{0}>", tag, cell);
  return out + "</tr>\n";
}

std::string table_section(std::string_view heading, const std::string& rows) {
  return fmt::format("<h2>{}</h2>\n<div class=wide><table>\n{}</table></div>\n", heading, rows);
}

std::string byte_text(std::optional<double> value) {
  if (!value) return "-";
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  double scaled = *value;
  for (; scaled >= 1024 && unit + 1 < std::size(units); ++unit) scaled /= 1024;
  return fmt::format("{:.{}f} {}", scaled, unit == 0 ? 0 : 1, units[unit]);
}

std::string bus_section(const daemon_snapshot& state) {
  std::string out = table_row(
      "th", {"bus", "endpoint", "state", "Redis", "CPU", "clients of Redis", "memory", "connections",
             "requests", "waiting", "in flight", "answered (99&nbsp;%)", "target missed"});
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const metrics::bus_metrics& totals = state.bus_totals(bus);
    const bus_status& status = state.status_of(bus);
    const bus_standing standing = standing_of(state, bus);
    const bool draining = state.configuration->routing.buses[bus].draining;
    const bool known = bus < state.configuration->buses.size();
    const auto target = known ? state.configuration->buses[bus].latency_target : config::microseconds(0);
    out += table_row(
        "td",
        {escaped(state.bus_name(bus)) + (draining ? " (draining)" : ""),
         known ? escaped(state.configuration->buses[bus].endpoint) : "-", state_cell(standing),
         redis_cell(status), status.cpu_ratio ? fmt::format("{:.1f} %", *status.cpu_ratio * 100) : "-",
         status.up && status.info ? count(status.info->connected_clients) : "-", memory_cell(status),
         connections_cell(totals), fmt::format("{}", totals.requests), fmt::format("{}", totals.waiting),
         fmt::format("{}", totals.in_flight), percentile_99(totals.bus_duration),
         target.count() > 0
             ? fmt::format("{} of {} (target {})", totals.latency_target_missed, totals.bus_duration.total(),
                           milliseconds(std::chrono::nanoseconds(target).count()))
             : "-"});
  }
  return table_section("Buses", out);
}

std::string drain_section(const daemon_snapshot& state) {
  if (state.draining.empty()) return {};
  std::string out = table_row(
      "th", {"draining bus", "state", "streams drained", "groups with unread entries", "pending entries",
             "groups missing elsewhere", "streams without groups", "pinned streams", "other keys"});
  for (const drain_status& status : state.draining) {
    std::vector<std::string> cells = {escaped(state.bus_name(status.bus)),
                                      std::string(drain_state_name(status))};
    if (const auto bad = status.errors.find(status.bus); bad != status.errors.end()) {
      cells[1] += ": " + escaped(bad->second);
    }
    if (status.known()) {
      const drain_report& report = *status.report;
      cells.push_back(fmt::format("{} of {}", report.streams_drained(), report.streams()));
      for (const std::uint64_t figure :
           {report.undelivered_groups(), report.pending_entries(), report.missing_groups(),
            report.ungrouped().total, report.pinned().total, report.other_keys()}) {
        cells.push_back(fmt::format("{}", figure));
      }
    } else {
      cells.insert(cells.end(), 7, "-");
    }
    out += table_row("td", cells);
  }
  return table_section("Draining", out) + "<p><a href=\"/drain\">What holds them back</a></p>\n";
}

std::string rules_section(const daemon_snapshot& state, const console::recent& recent) {
  const command::routing_table rules(state.configuration->routing);
  const console::table found = console::rules_table(rules, recent);
  std::string out = table_row("th", {"matched", "pattern", "bus", "messages", "per second"});
  for (const auto& row : found.rows) {
    std::vector<std::string> cells;
    for (const std::size_t column : {0, 1, 2, 3}) cells.push_back(escaped(console::text_of(row[column])));
    cells.push_back(escaped(console::text_of(row[4 + ten_seconds])));
    out += table_row("td", cells);
  }
  return table_section("Rules", out);
}

std::string message_section(const daemon_snapshot& state, const console::recent& recent) {
  struct entry {
    std::string_view type;
    const command::message_counters::row* counts;
    std::uint64_t total;
  };
  std::vector<entry> entries;
  for (const auto& [type, counts] : state.totals.messages) {
    std::uint64_t total = 0;
    for (std::size_t bus = 0; bus < counts.size(); ++bus) total += messages_on(counts, bus);
    if (total > 0) entries.push_back({type, &counts, total});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const entry& a, const entry& b) { return a.total > b.total; });
  if (entries.empty()) return "<h2>Messages</h2>\n<p>None so far.</p>\n";

  std::vector<std::string> header = {"message type"};
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) header.push_back(escaped(state.bus_name(bus)));
  header.push_back("per second");
  std::string out = table_row("th", header);
  for (std::size_t i = 0; i < std::min(entries.size(), shown_types); ++i) {
    std::vector<std::string> cells = {escaped(entries[i].type)};
    for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
      cells.push_back(fmt::format("{}", messages_on(*entries[i].counts, bus)));
    }
    cells.push_back(per_second(recent.rates([&](const console::sample& s) {
      const auto found = s.types.find(std::string(entries[i].type));
      std::uint64_t total = 0;
      for (std::size_t bus = 0; found != s.types.end() && bus < found->second.size(); ++bus)
        total += messages_on(found->second, bus);
      return total;
    })));
    out += table_row("td", cells);
  }
  out = table_section("Messages", out);
  if (entries.size() > shown_types)
    out += fmt::format("<p>{} types more.</p>\n", entries.size() - shown_types);
  return out;
}

// The noisy engines come first: those with the most requests now, then those with the most so far.
std::string engine_section(const daemon_snapshot& state, const console::recent& recent) {
  using field = std::uint64_t metrics::engine_counters::*;
  struct entry {
    std::string name;
    metrics::engine_counters counted;
    console::by_window requests, failed;
  };
  std::vector<entry> engines;
  for (const auto& [name, counted] : state.totals.engines) {
    const auto rates = [&recent, &name = name](field counter) {
      return recent.rates([&](const console::sample& s) {
        const auto found = s.engines.find(name);
        return found == s.engines.end() ? 0 : found->second.*counter;
      });
    };
    engines.push_back({name, counted, rates(&metrics::engine_counters::commands),
                       rates(&metrics::engine_counters::failed_commands)});
  }
  if (engines.empty()) return "<h2>Engines</h2>\n<p>No client so far.</p>\n";
  std::stable_sort(engines.begin(), engines.end(), [](const entry& a, const entry& b) {
    return std::pair(a.requests[ten_seconds].value_or(0), a.counted.commands) >
           std::pair(b.requests[ten_seconds].value_or(0), b.counted.commands);
  });
  std::string out =
      table_row("th", {"engine", "connections", "commands", "failed", "published", "consumed",
                       "polls absorbed", "time at the buses", "commands per second", "failed per second"});
  for (std::size_t i = 0; i < std::min(engines.size(), shown_engines); ++i) {
    const metrics::engine_counters& counted = engines[i].counted;
    std::vector<std::string> cells = {escaped(engines[i].name)};
    for (const std::uint64_t figure :
         {counted.connections, counted.commands, counted.failed_commands, counted.messages_published,
          counted.messages_consumed, counted.polls_absorbed}) {
      cells.push_back(fmt::format("{}", figure));
    }
    cells.push_back(fmt::format("{:.1f} s", std::chrono::duration<double>(counted.bus_time).count()));
    cells.push_back(per_second(engines[i].requests));
    const bool failing = engines[i].failed[ten_seconds].value_or(0) > 0;
    cells.push_back(failing ? "<b class=bad>" + per_second(engines[i].failed) + "</b>"
                            : per_second(engines[i].failed));
    out += table_row("td", cells);
  }
  out = table_section("Engines", out);
  if (engines.size() > shown_engines)
    out += fmt::format("<p>{} engines more.</p>\n", engines.size() - shown_engines);
  return out;
}

}  // namespace dualbus::admin
