#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/console/table.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::console {

/// A request that nobody sends, and what its fate depends on.
struct imagined_request {
  const command::command_spec& spec;
  resp::arguments args;  ///< as the classifier needs them, see there
  /// The error that the client's user would get; empty if it may run it. Nothing: nobody asks as a user.
  std::optional<std::string_view> denial;
  command::router& router;  ///< of the client's database
  const config::configuration& configuration;
  std::vector<std::string> buses;  ///< a text about each bus, behind its name
};

/// Says in words for people what the daemon would do with the request: by which rules, to which buses, or why
/// not. Nothing is sent or counted.
record explain(const imagined_request& request);

}  // namespace dualbus::console
