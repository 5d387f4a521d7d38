#include <dualbus/metrics/bus_rows.hpp>

namespace dualbus::metrics {

std::string_view published_rule_name(std::size_t rule) {
  const auto decided = static_cast<command::rule>(rule);
  switch (decided) {
    case command::rule::json:
    case command::rule::channel:
    case command::rule::default_bus:
      return command::rule_name(decided);
    case command::rule::type:
    case command::rule::glob:
    case command::rule::key:
      return {};
  }
  return {};
}

bus_metrics& bus_metrics::operator+=(const bus_metrics& other) {
  add_fields(bus_rows, *this, other);
  return *this;
}

}  // namespace dualbus::metrics
