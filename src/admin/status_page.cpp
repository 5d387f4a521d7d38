#include "status_page.hpp"

#include "process_figures.hpp"
#include "readiness.hpp"

#include <dualbus/base/version.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include <spdlog/fmt/fmt.h>

namespace dualbus::admin {
namespace {

constexpr std::size_t shown_types = 20;
constexpr std::size_t shown_engines = 50;

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

std::string bytes(std::optional<double> value) {
  if (!value) return "-";
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  double scaled = *value;
  for (; scaled >= 1024 && unit + 1 < std::size(units); ++unit) scaled /= 1024;
  return fmt::format("{:.{}f} {}", scaled, unit == 0 ? 0 : 1, units[unit]);
}

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

std::string row(std::string_view tag, const std::vector<std::string>& cells) {
  std::string out = "<tr>";
  for (const std::string& cell : cells) out += fmt::format("<{0}>{1}</{0}>", tag, cell);
  return out + "</tr>\n";
}

std::string redis_cell(const bus_status& status) {
  if (status.up && status.info) return "up, " + escaped(status.info->software());
  if (status.error.empty()) return "not asked yet";
  return "<b class=bad>down</b>: " + escaped(status.error);
}

std::string memory_cell(const bus_status& status) {
  if (!status.up || !status.info) return "-";
  const redis_info& info = *status.info;
  std::string out = bytes(info.used_memory);
  if (info.maxmemory.value_or(0) > 0) {
    out += " of " + bytes(info.maxmemory) + ", " + escaped(info.maxmemory_policy);
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

std::string bus_table(const daemon_snapshot& state) {
  std::string out =
      row("th", {"bus", "endpoint", "state", "Redis", "CPU", "clients of Redis", "memory", "connections",
                 "requests", "waiting", "in flight", "answered (99&nbsp;%)", "target missed"});
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const metrics::bus_metrics& totals = state.bus_totals(bus);
    const bus_status& status = state.status_of(bus);
    const bus_standing standing = standing_of(state, bus);
    const bool draining = state.configuration->routing.buses[bus].draining;
    const bool known = bus < state.configuration->buses.size();
    const auto target = known ? state.configuration->buses[bus].latency_target : config::microseconds(0);
    out +=
        row("td",
            {escaped(state.bus_name(bus)) + (draining ? " (draining)" : ""),
             known ? escaped(state.configuration->buses[bus].endpoint) : "-", state_cell(standing),
             redis_cell(status), status.cpu_ratio ? fmt::format("{:.1f} %", *status.cpu_ratio * 100) : "-",
             status.up && status.info ? count(status.info->connected_clients) : "-", memory_cell(status),
             connections_cell(totals), fmt::format("{}", totals.requests), fmt::format("{}", totals.waiting),
             fmt::format("{}", totals.in_flight), percentile_99(totals.bus_duration),
             target.count() > 0 ? fmt::format("{} of {} (target {})", totals.latency_target_missed,
                                              totals.bus_duration.total(),
                                              milliseconds(std::chrono::nanoseconds(target).count()))
                                : "-"});
  }
  return "<h2>Buses</h2>\n<table>\n" + out + "</table>\n";
}

std::string drain_table(const daemon_snapshot& state) {
  if (state.draining.empty()) return {};
  std::string out =
      row("th", {"draining bus", "state", "streams drained", "groups with unread entries", "pending entries",
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
    out += row("td", cells);
  }
  return "<h2>Draining</h2>\n<table>\n" + out +
         "</table>\n<p><a href=\"/drain\">What holds them back</a></p>\n";
}

std::uint64_t messages_on(const command::message_counters::row& counts, std::size_t bus) {
  if (bus >= counts.size()) return 0;
  return std::accumulate(counts[bus].begin(), counts[bus].end(), std::uint64_t{0});
}

std::string message_table(const daemon_snapshot& state) {
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
  std::string out = row("th", header);
  for (std::size_t i = 0; i < std::min(entries.size(), shown_types); ++i) {
    std::vector<std::string> cells = {escaped(entries[i].type)};
    for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
      cells.push_back(fmt::format("{}", messages_on(*entries[i].counts, bus)));
    }
    out += row("td", cells);
  }
  out = "<h2>Messages</h2>\n<table>\n" + out + "</table>\n";
  if (entries.size() > shown_types)
    out += fmt::format("<p>{} types more.</p>\n", entries.size() - shown_types);
  return out;
}

// Engines with the most commands, the noisy ones, come first.
std::string engine_table(const daemon_snapshot& state) {
  std::vector<const std::pair<const std::string, metrics::engine_counters>*> engines;
  for (const auto& engine : state.totals.engines) engines.push_back(&engine);
  if (engines.empty()) return "<h2>Engines</h2>\n<p>No client so far.</p>\n";
  std::stable_sort(engines.begin(), engines.end(),
                   [](const auto* a, const auto* b) { return a->second.commands > b->second.commands; });
  std::string out = row("th", {"engine", "connections", "commands", "failed", "published", "consumed",
                               "polls absorbed", "time at the buses"});
  for (std::size_t i = 0; i < std::min(engines.size(), shown_engines); ++i) {
    const auto& [name, counted] = *engines[i];
    std::vector<std::string> cells = {escaped(name)};
    for (const std::uint64_t figure :
         {counted.connections, counted.commands, counted.failed_commands, counted.messages_published,
          counted.messages_consumed, counted.polls_absorbed}) {
      cells.push_back(fmt::format("{}", figure));
    }
    cells.push_back(fmt::format("{:.1f} s", std::chrono::duration<double>(counted.bus_time).count()));
    out += row("td", cells);
  }
  out = "<h2>Engines</h2>\n<table>\n" + out + "</table>\n";
  if (engines.size() > shown_engines)
    out += fmt::format("<p>{} engines more.</p>\n", engines.size() - shown_engines);
  return out;
}

std::string ready_cell(const daemon_snapshot& state) {
  std::string cell = is_ready(state) ? "yes" : "<b class=bad>no</b>";
  if (state.phase == daemon_phase::draining) cell += "<br>draining";
  if (state.phase == daemon_phase::stopping) cell += "<br>stopping";
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const bus_standing now = standing_of(state, bus);
    if (state.configuration->routing.buses[bus].draining || now.up()) continue;
    cell += "<br>bus " + escaped(state.bus_name(bus)) + " " + escaped(standing_text(now));
  }
  for (const std::string& mistake : mistakes_on_buses(state)) cell += "<br>" + escaped(mistake);
  return cell;
}

std::string daemon_table(const daemon_snapshot& state) {
  const metrics::worker_metrics& all = state.totals.metrics;
  const process_figures process = read_process_figures();
  std::string out;
  out += row("td", {"ready", ready_cell(state)});
  out += row("td", {"workers", fmt::format("{}", state.totals.workers)});
  out += row("td", {"clients", fmt::format("{} now, {} accepted, {} turned away", all.clients,
                                           all.clients_accepted, all.clients_rejected)});
  out += row("td", {"requests", fmt::format("{}", all.requests())});
  out += row("td", {"from and to clients", bytes(static_cast<double>(all.received_bytes)) + ", " +
                                               bytes(static_cast<double>(all.sent_bytes))});
  out += row("td", {"CPU time", process.cpu_seconds ? fmt::format("{:.1f} s", *process.cpu_seconds) : "-"});
  out += row("td", {"memory", bytes(process.resident_bytes)});
  out += row("td", {"reloads",
                    fmt::format("{} succeeded, {} failed{}", state.reloads.succeeded, state.reloads.failed,
                                state.reloads.last_succeeded ? "" : "; <b class=bad>the last failed</b>")});
  return "<h2>Daemon</h2>\n<table>\n" + out + "</table>\n";
}

}  // namespace

std::string render_status_page(const daemon_snapshot& state) {
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n<meta http-equiv=refresh "
             "content=5>\n"
             "<title>dualbusd</title>\n<style>\n"
             "body {{font: 15px/1.4 sans-serif; margin: 2em; color: #222; background: #fff}}\n"
             "table {{border-collapse: collapse}}\n"
             "th, td {{border: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top}}\n"
             "th {{background: #f3f3f3}}\n.bad {{color: #b00}}\n</style>\n</head>\n<body>\n"
             "<h1>dualbusd {}</h1>\n",
             base::version) +
         bus_table(state) + drain_table(state) + engine_table(state) + message_table(state) +
         daemon_table(state) +
         "<p><a href=\"/metrics\">metrics</a> <a href=\"/drain\">drain</a> <a href=\"/healthz\">healthz</a> "
         "<a "
         "href=\"/readyz\">readyz</a></p>\n"
         "</body>\n</html>\n";
}

}  // namespace dualbus::admin
