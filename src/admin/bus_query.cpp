#include "bus_query.hpp"

#include <algorithm>
#include <utility>

namespace dualbus::admin {
namespace {

http_reply not_found(const daemon_snapshot& state, std::string text) {
  std::string_view separator = ": the buses are ";
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    text.append(separator).append(state.bus_name(bus));
    separator = ", ";
  }
  return text_reply(404, text.append("\n"));
}

}  // namespace

query_parameter next_parameter(std::string_view query, std::size_t& begin) {
  const std::string_view part = query.substr(begin, query.find('&', begin) - begin);
  begin += part.size() + 1;
  const std::string_view key = part.substr(0, part.find('='));
  return {part, key, part.substr(std::min(key.size() + 1, part.size()))};
}

std::optional<std::size_t> bus_called(const daemon_snapshot& state, std::string_view name) {
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    if (state.bus_name(bus) == name) return bus;
  }
  return {};
}

http_reply no_such_bus(const daemon_snapshot& state, std::string_view name) {
  return not_found(state, "there is no bus '" + printable_name(name) + "'");
}

http_reply no_bus_named(const daemon_snapshot& state) {
  return not_found(state, "say ?bus=NAME");
}

http_reply text_reply(unsigned status, std::string body) {
  http_reply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

}  // namespace dualbus::admin
