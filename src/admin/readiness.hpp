#pragma once

#include "daemon_snapshot.hpp"
#include "http_server.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// Whether a bus does its job, by all that the workers and INFO say about it.
struct bus_standing {
  metrics::bus_state state = metrics::bus_state::disconnected;
  base::time_point since{};  ///< when it stopped being up; zero if it is, or if that is unknown
  bool up() const { return state == metrics::bus_state::up; }
};
bus_standing standing_of(const daemon_snapshot& state, std::size_t bus);
/// For people, with the time if it is known: "has no connection since 2026-11-30T15:27:01Z".
std::string standing_text(const bus_standing& standing);

/// Mistakes on the buses that make every request dangerous: a wrong slot mark, two buses that are one Redis.
std::vector<std::string> mistakes_on_buses(const daemon_snapshot& state);

/// Whether the daemon may get clients: it is not on its way out, no bus is mistaken for another, and at least
/// one active bus does its job. With every bus needed, one dead Redis would take all daemons out of a load
/// balancer, and with them the buses that work.
bool is_ready(const daemon_snapshot& state);

/// The page /readyz. `query` asks for more: "bus=NAME" for that bus, "all" for every active bus.
http_reply render_ready_page(const daemon_snapshot& state, std::string_view query);

}  // namespace dualbus::admin
