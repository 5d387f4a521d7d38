#include "readiness.hpp"

#include "bus_query.hpp"
#include "shared_redis.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <optional>
#include <utility>

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

namespace dualbus::admin {
namespace {

using metrics::bus_state;

/// The buses that a request for /readyz asks about: by number, or one active bus at least.
struct question {
  bool any = true;
  std::vector<std::size_t> buses;
};

bool is_draining(const daemon_snapshot& state, std::size_t bus) {
  return state.configuration->routing.buses[bus].draining;
}

// A reply instead if the query cannot be answered.
std::optional<http_reply> read_query(const daemon_snapshot& state, std::string_view query, question& asked) {
  for (std::size_t begin = 0; begin < query.size();) {
    const auto [part, key, value] = next_parameter(query, begin);
    if (key == "all") {
      for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
        if (!is_draining(state, bus)) asked.buses.push_back(bus);
      }
    } else if (key == "bus") {
      const auto bus = bus_called(state, value);
      if (!bus) return no_such_bus(state, value);
      asked.buses.push_back(*bus);
    } else {
      return text_reply(400,
                        "unknown parameter '" + printable_name(part) + "': /readyz takes bus=NAME and all\n");
    }
    asked.any = false;
  }
  return {};
}

std::string_view phase_text(daemon_phase phase) {
  return phase == daemon_phase::draining ? "draining: the daemon still serves, and is about to end"
                                         : "stopping";
}

// "bus marketdata (127.0.0.1:6380): has no connection since 2026-11-30T15:27:01Z"
std::string bus_line(const daemon_snapshot& state, std::size_t bus) {
  const auto& settings = state.configuration->buses;
  const std::string address = bus < settings.size() ? " (" + settings[bus].endpoint + ")" : "";
  const std::string_view note = is_draining(state, bus) ? "draining, need not be ready; " : "";
  return fmt::format("bus {}{}: {}{}\n", state.bus_name(bus), address, note,
                     standing_text(standing_of(state, bus)));
}

bool any_active_bus_up(const daemon_snapshot& state) {
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    if (!is_draining(state, bus) && standing_of(state, bus).up()) return true;
  }
  return false;
}

}  // namespace

// A worker that has had an answer since INFO was asked knows that the bus does not hang.
bus_standing standing_of(const daemon_snapshot& state, std::size_t bus) {
  const metrics::bus_metrics& counted = state.bus_totals(bus);
  const info_verdict& info = state.status_of(bus).verdict;
  const bool objected =
      info.state != bus_state::up && !(info.state == bus_state::silent && counted.last_answer > info.since);
  bus_standing standing{state_of(counted), counted.down_since};
  if (standing.up()) {
    standing = objected ? bus_standing{info.state, info.since} : bus_standing{bus_state::up, {}};
  } else if (objected && info.since < standing.since) {
    standing.since = info.since;
  }
  return standing;
}

std::string standing_text(const bus_standing& standing) {
  std::string text(bus_state_text(standing.state));
  if (standing.since != base::time_point{}) {
    const auto when = static_cast<std::time_t>(std::floor(unix_seconds(standing.since)));
    text += fmt::format(" since {:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(when));
  }
  return text;
}

std::vector<std::string> mistakes_on_buses(const daemon_snapshot& state) {
  std::vector<std::string> mistakes;
  for (const shared_redis& shared : find_shared_redis(state.buses, *state.configuration)) {
    mistakes.push_back(describe(shared, *state.configuration));
  }
  mistakes.insert(mistakes.end(), state.wrong_slots.begin(), state.wrong_slots.end());
  return mistakes;
}

bool is_ready(const daemon_snapshot& state) {
  return state.phase == daemon_phase::serving && mistakes_on_buses(state).empty() && any_active_bus_up(state);
}

http_reply render_ready_page(const daemon_snapshot& state, std::string_view query) {
  question asked;
  if (auto refusal = read_query(state, query, asked)) return std::move(*refusal);
  std::string lines;
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    const bool shown =
        asked.any || std::find(asked.buses.begin(), asked.buses.end(), bus) != asked.buses.end();
    if (shown) lines += bus_line(state, bus);
  }
  for (const std::string& mistake : mistakes_on_buses(state)) lines += mistake + "\n";
  if (state.phase != daemon_phase::serving) {
    return text_reply(503, fmt::format("{}\n{}", phase_text(state.phase), lines));
  }
  const bool ready =
      is_ready(state) && std::all_of(asked.buses.begin(), asked.buses.end(),
                                     [&](std::size_t bus) { return standing_of(state, bus).up(); });
  return ready ? text_reply(200, "ready\n" + lines) : text_reply(503, "not ready\n" + lines);
}

}  // namespace dualbus::admin
