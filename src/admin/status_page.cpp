#include "status_page.hpp"

#include "page_sections.hpp"
#include "process_figures.hpp"
#include "readiness.hpp"

#include <dualbus/base/version.hpp>

#include <string_view>
#include <vector>

#include <spdlog/fmt/fmt.h>

namespace dualbus::admin {
namespace {

// The things that somebody should look at, in words.
std::vector<std::string> things_wrong(const daemon_snapshot& state) {
  std::vector<std::string> found;
  if (state.phase == daemon_phase::draining)
    found.push_back("the daemon is draining: it asks for no new clients");
  if (state.phase == daemon_phase::stopping) found.push_back("the daemon is stopping");
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const bus_standing now = standing_of(state, bus);
    if (!state.configuration->routing.buses[bus].draining && !now.up())
      found.push_back("bus " + state.bus_name(bus) + " " + standing_text(now));
    const bus_status& status = state.status_of(bus);
    if (status.up && status.info && status.info->evicts_streams())
      found.push_back("bus " + state.bus_name(bus) + " can evict whole streams (maxmemory-policy " +
                      status.info->maxmemory_policy + ")");
  }
  for (const std::string& mistake : mistakes_on_buses(state)) found.push_back(mistake);
  if (!state.reloads.last_succeeded)
    found.push_back("the last reload of the configuration failed: the log says why");
  return found;
}

std::string wrong_section(const daemon_snapshot& state) {
  const std::vector<std::string> found = things_wrong(state);
  if (found.empty()) return "<div class=fine>Nothing is wrong that the daemon knows of.</div>";
  std::string out = "<div class=wrong><ul>";
  for (const std::string& line : found) out += "<li>" + escaped(line) + "</li>";
  return out + "</ul></div>";
}

std::string daemon_table(const daemon_snapshot& state) {
  const metrics::worker_metrics& all = state.totals.metrics;
  const process_figures process = read_process_figures();
  std::string out;
  out += table_row("td", {"ready", is_ready(state) ? "yes" : "<b class=bad>no</b>"});
  out += table_row("td", {"workers", fmt::format("{}", state.totals.workers)});
  out += table_row("td", {"clients", fmt::format("{} now, {} accepted, {} turned away", all.clients,
                                                 all.clients_accepted, all.clients_rejected)});
  out += table_row("td", {"readers that wait", fmt::format("{}", all.parked_readers)});
  out += table_row("td", {"requests", fmt::format("{}", all.requests())});
  out += table_row("td", {"from and to clients", byte_text(static_cast<double>(all.received_bytes)) + ", " +
                                                     byte_text(static_cast<double>(all.sent_bytes))});
  out += table_row("td",
                   {"CPU time", process.cpu_seconds ? fmt::format("{:.1f} s", *process.cpu_seconds) : "-"});
  out += table_row("td", {"memory", byte_text(process.resident_bytes)});
  out += table_row(
      "td",
      {"reloads", fmt::format("{} succeeded, {} failed{}", state.reloads.succeeded, state.reloads.failed,
                              state.reloads.last_succeeded ? "" : "; <b class=bad>the last failed</b>")});
  return table_section("Daemon", out);
}

// Empty boxes, which the page's script fills.
std::string chart_boxes(const daemon_snapshot& state) {
  struct chart {
    std::string_view figure, title;
  };
  constexpr chart charts[] = {{"types", "messages per second"}, {"requests", "requests per second"},
                              {"p99", "answered (99 %)"},       {"cpu", "CPU of Redis"},
                              {"connections", "connections"},   {"memory", "memory"}};
  std::string out;
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const std::string name = escaped(state.bus_name(bus));
    out += "<h2>" + name + "</h2>\n<div class=charts>\n";
    const bool known = bus < state.configuration->buses.size();
    const auto target = known ? state.configuration->buses[bus].latency_target : config::microseconds(0);
    for (const chart& c : charts) {
      out += fmt::format(
          "<div class=chart data-bus=\"{}\" data-figure={}{}><h3>{}</h3><div class=plot></div>"
          "<div class=legend></div></div>\n",
          name, c.figure,
          target.count() > 0 ? fmt::format(" data-target={:g}", static_cast<double>(target.count()) / 1e3)
                             : "",
          c.title);
    }
    out += "</div>\n";
  }
  return out;
}

}  // namespace

std::string render_tables(const daemon_snapshot& state, const console::recent& recent) {
  return bus_section(state) + drain_section(state) + engine_section(state, recent) +
         message_section(state, recent) + rules_section(state, recent) + daemon_table(state) +
         "<div id=found hidden>" + wrong_section(state) + "</div>\n";
}

std::string render_status_page(const daemon_snapshot& state, const console::recent& recent) {
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
             "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
             "<noscript><meta http-equiv=refresh content=5></noscript>\n<title>dualbusd</title>\n"
             "<link rel=stylesheet href=\"/dygraph.css\">\n<link rel=stylesheet href=\"/page.css\">\n"
             "<script defer src=\"/dygraph.js\"></script>\n<script defer src=\"/page.js\"></script>\n"
             "</head>\n<body>\n<h1>dualbusd {} <small id=stale>does not answer</small></h1>\n",
             base::version) +
         "<div id=wrong>" + wrong_section(state) + "</div>\n" + chart_boxes(state) +
         "<h2>Where would this go?</h2>\n"
         "<form id=explain action=\"/api/v1/explain\"><input name=command aria-label=\"a command\" "
         "placeholder=\"XADD orders * message_type order_request\" required><button>EXPLAIN</button></form>\n"
         "<pre id=answer></pre>\n<div id=tables>\n" +
         render_tables(state, recent) +
         "</div>\n<p><a href=\"/metrics\">metrics</a> <a href=\"/drain\">drain</a> "
         "<a href=\"/healthz\">healthz</a> <a href=\"/readyz\">readyz</a></p>\n"
         "</body>\n</html>\n";
}

}  // namespace dualbus::admin
