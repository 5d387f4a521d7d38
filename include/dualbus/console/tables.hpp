#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/console/recent.hpp>
#include <dualbus/console/table.hpp>

#include <map>
#include <string>
#include <vector>

// The tables of DUALBUS SHOW and of the API: they have the same names and the same rows wherever they are
// read. A rate has a column for each window, `NAME_1s`, `NAME_10s` and `NAME_60s`, and is a number per
// second.
namespace dualbus::console {

/// A bus as it is now.
struct bus_facts {
  std::string endpoint, server;  ///< `server`: name and version; empty while it is not known
  std::string health;            ///< as in dualbus_bus_state
};

/// By bus: its place and state, requests per second, and how soon it answers.
table buses_table(const command::routing_rules& rules, const std::vector<bus_facts>& buses,
                  const recent& figures);

/// Every key of the configuration that has one value; see config::settings().
table config_table(const config::configuration& configuration);

/// By bus: its connections and what waits for them.
table pools_table(const command::routing_rules& rules, const recent& figures);

/// By engine, the one with the most requests first. `addresses` has the address of one of its clients.
table engines_table(const recent& figures, const std::map<std::string, std::string>& addresses);

/// By message type and bus, the most frequent first. `pinned`: of these, the messages whose key chose the
/// bus.
table types_table(const command::routing_rules& rules, const recent& figures);

/// The rules for routing, in the order in which they are tried, and the messages that each decided on. Rules
/// for keys and channels have no count of their own.
table rules_table(const command::routing_table& rules, const recent& figures);

}  // namespace dualbus::console
