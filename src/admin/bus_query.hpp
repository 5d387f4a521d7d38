#pragma once

#include "daemon_snapshot.hpp"
#include "http_server.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// For pages that are asked about one bus.
namespace dualbus::admin {

/// One part of a query: `part` is "key=value", or the key alone.
struct query_parameter {
  std::string_view part, key, value;
};
/// The parameter that begins at `begin`, which then stands behind it and its '&'.
query_parameter next_parameter(std::string_view query, std::size_t& begin);

std::optional<std::size_t> bus_called(const daemon_snapshot& state, std::string_view name);
/// Status 404, with the names that exist.
http_reply no_such_bus(const daemon_snapshot& state, std::string_view name);
http_reply no_bus_named(const daemon_snapshot& state);

http_reply text_reply(unsigned status, std::string body);

}  // namespace dualbus::admin
