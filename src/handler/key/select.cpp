#include "key_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/forwarding.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

// A client's database 0 is the one that each bus names, 1 the next one, and so on.
namespace dualbus::handler {
namespace {

constexpr std::string_view out_of_range = "ERR DB index is out of range";

bool is_database(const config::configuration& configuration, std::int64_t index) {
  return index >= 0 && index < configuration.databases;
}

/// The positions of the arguments that are numbers of databases.
std::vector<std::size_t> database_positions(const command::command_spec& spec, resp::arguments args) {
  if (spec.name == "move") return {2};
  if (spec.name == "swapdb") return {1, 2};
  for (std::size_t i = 3; spec.name == "copy" && i + 1 < args.size(); ++i) {
    if (base::is_word(args[i], "db")) return {i + 1};
  }
  return {};
}

}  // namespace

void run_select(key_services& services, session& client, routed_request& request) {
  const auto index = base::parse_int64(request.args[1]);
  if (!index) return client.refuse(request, "ERR value is not an integer or out of range");
  if (!is_database(services.configuration(), *index)) return client.refuse(request, out_of_range);
  client.set_database(static_cast<std::uint8_t>(*index));
  client.answer(request, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

std::optional<std::uint8_t> chosen_database(const config::configuration& configuration,
                                            const command::command_spec& spec,
                                            const client::request& request) {
  if (!spec.has(command::fact::chooses_database) || request.args.size() != 2) return std::nullopt;
  const auto index = base::parse_int64(request.args[1]);
  if (!index || !is_database(configuration, *index)) return std::nullopt;
  return static_cast<std::uint8_t>(*index);
}

void forward_between_databases(key_services& services, session& client, routed_request& request,
                               command::bus_index bus) {
  std::vector<std::string_view> args(request.args.begin(), request.args.end());
  std::string numbers[2];
  std::string* number = numbers;
  const auto positions = database_positions(command::command_table()[request.command], request.args);
  // If an argument is no number, Redis itself says which.
  const bool sound = std::all_of(positions.begin(), positions.end(), [&](std::size_t position) {
    return base::parse_int64(args[position]).has_value();
  });
  if (!sound) return services.forwarder.forward(client, request, bus);
  for (const std::size_t position : positions) {
    const std::int64_t index = *base::parse_int64(args[position]);
    if (!is_database(services.configuration(), index)) return client.refuse(request, out_of_range);
    *number = std::to_string(services.configuration().buses[bus].database + index);
    args[position] = *number++;
  }
  services.forwarder.forward(client, request, bus, false, args);
}

}  // namespace dualbus::handler
