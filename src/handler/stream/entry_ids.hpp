#pragma once

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <string>
#include <string_view>

namespace dualbus::handler {

/// The bus that an entry ID names; no_bus if no bus has that slot, which is counted.
inline command::bus_index bus_of_id(operation::environment& environment, stream::client_id id) {
  for (std::size_t i = 0; i < environment.buses.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    if (stream::slot_of(id) == static_cast<std::uint64_t>(environment.buses.slot_of(bus))) return bus;
  }
  ++environment.metrics.unknown_slot_ids;
  return command::no_bus;
}

/// Counts and logs entries of a bus that are left out of a reply, because their IDs have no client form.
inline void note_omitted(operation::environment& environment, command::bus_index bus, std::string_view key,
                         std::size_t count) {
  environment.metrics.buses[bus].entries_omitted += count;
  if (count == 0) return;
  base::error_limited(
      environment.buses.name(bus),
      "stream '{}': {} entries of bus '{}' are left out of a reply: their IDs were not made by Redis's "
      "clock and have no client form",
      base::in_log(key), count, environment.buses.name(bus));
}

/// The options of Redis 8.2 and later for groups' references to deleted entries.
inline bool is_reference_option(std::string_view word) {
  return base::is_word(word, "keepref") || base::is_word(word, "delref") || base::is_word(word, "acked");
}

/// The refusal of an option that Redis has, but that is not available on logical streams.
inline std::string unsupported_option(std::string_view option, std::string_view key) {
  std::string upper(option);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return "ERR dualbus: option '" + upper + "' not supported on logical stream '" + std::string(key) + "'";
}

}  // namespace dualbus::handler
