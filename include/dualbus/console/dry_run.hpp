#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/console/table.hpp>

#include <string>
#include <vector>

namespace dualbus::console {

/// The messages of one type on one bus, per second, in the last minute.
struct message_flow {
  std::string type, bus;  ///< type: "none" if they have none, "other" beyond the cap on names
  double by_type = 0;     ///< their type chose the bus, or nothing did
  double by_key = 0;      ///< their key did
};

/// The effect of other rules on these messages.
struct forecast {
  table messages;                   ///< type, bus now and then, messages per second, whether they move
  double moving = 0;                ///< per second
  std::vector<std::string> unused;  ///< rules of routing.types that none of the types needs
};

/// Asks the rules where each of the messages would go. Messages whose key has chosen the bus stay, since
/// nobody has counted keys: other rules for keys may move them.
forecast dry_run(const command::routing_table& rules, const std::vector<message_flow>& messages);

/// The rows of types_table(), as the API gives them too.
std::vector<message_flow> flows_of(const table& types);

}  // namespace dualbus::console
