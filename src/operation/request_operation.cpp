#include <dualbus/operation/request_operation.hpp>

namespace dualbus::operation {

std::string failure_text(const environment& environment, command::bus_index bus, backend::failure why) {
  const std::string name = "'" + environment.buses.name(bus) + "'";
  switch (why) {
    case backend::failure::bus_down:
      return "BUSDOWN bus " + name + " is unreachable: command not sent";
    case backend::failure::bus_lost:
      return "BUSLOST bus " + name + ": connection lost after the command was sent, outcome unknown";
    case backend::failure::bus_timeout:
      return "BUSTIMEOUT bus " + name + ": no answer within " +
             std::to_string(environment.configuration().backend.request_timeout.count()) +
             " ms after the command was sent, outcome unknown";
  }
  return {};
}

metrics::outcome outcome_of(backend::failure why) {
  switch (why) {
    case backend::failure::bus_down:
      return metrics::outcome::bus_down;
    case backend::failure::bus_lost:
      return metrics::outcome::bus_lost;
    default:
      return metrics::outcome::bus_timeout;
  }
}

std::string nonsense_text(std::string_view who) {
  return "ERR dualbus: " + std::string(who) + " gave an answer that Redis does not give";
}

std::string no_connection_text(const environment& environment, command::bus_index bus) {
  return "ERR dualbus: all " + std::to_string(environment.configuration().backend.dedicated_connections) +
         " connections to bus '" + environment.buses.name(bus) +
         "' for blocking requests are in use (backend.dedicated_connections)";
}

void refuse_without_memory(environment& environment, session& client, const client::request& request) {
  ++environment.metrics.memory_refusals;
  client.refuse(request, out_of_memory_text);
}

}  // namespace dualbus::operation
