#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/session/database_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

// A client's database 0 is the one that each bus names, 1 the next one, and so on.
namespace dualbus::session {
namespace {

constexpr std::string_view out_of_range = "ERR DB index is out of range";

bool is_database(const worker_context& context, std::int64_t index) {
  return index >= 0 && index < context.configuration().databases;
}

/// The places of the numbers of databases.
std::vector<std::size_t> database_positions(const command::command_spec& spec, resp::arguments args) {
  if (spec.name == "move") return {2};
  if (spec.name == "swapdb") return {1, 2};
  for (std::size_t i = 3; spec.name == "copy" && i + 1 < args.size(); ++i) {
    if (base::is_word(args[i], "db")) return {i + 1};
  }
  return {};
}

}  // namespace

void run_select(worker_context& context, session& client, const request& what) {
  const auto index = base::parse_int64(what.args[1]);
  if (!index) return client.refuse(what.command, "ERR value is not an integer or out of range");
  if (!is_database(context, *index)) return client.refuse(what.command, out_of_range);
  client.set_database(static_cast<std::uint8_t>(*index));
  client.answer(what.command, metrics::outcome::ok, [](resp::encoder& out) { out.status("OK"); });
}

std::optional<std::uint8_t> chosen_database(const worker_context& context, const command::command_spec& spec,
                                            const request& what) {
  if (spec.name != "select" || what.args.size() != 2) return std::nullopt;
  const auto index = base::parse_int64(what.args[1]);
  if (!index || !is_database(context, *index)) return std::nullopt;
  return static_cast<std::uint8_t>(*index);
}

void forward_between_databases(worker_context& context, session& client, const request& what,
                               command::bus_index bus) {
  std::vector<std::string_view> args(what.args.begin(), what.args.end());
  std::string numbers[2];
  std::string* number = numbers;
  const auto positions = database_positions(command::command_table()[what.command], what.args);
  // Which of two is no number Redis says first.
  const bool sound = std::all_of(positions.begin(), positions.end(), [&](std::size_t position) {
    return base::parse_int64(args[position]).has_value();
  });
  if (!sound) return forward(context, client, what, bus, false);
  for (const std::size_t position : positions) {
    const std::int64_t index = *base::parse_int64(args[position]);
    if (!is_database(context, index)) return client.refuse(what.command, out_of_range);
    *number = std::to_string(context.configuration().buses[bus].database + index);
    args[position] = *number++;
  }
  forward(context, client, what, bus, false, args);
}

}  // namespace dualbus::session
