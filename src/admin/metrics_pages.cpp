#include "metrics_pages.hpp"

#include "bus_query.hpp"
#include "exporter.hpp"

#include <cstddef>
#include <optional>
#include <sstream>
#include <utility>

#include <prometheus/text_serializer.h>

namespace dualbus::admin {

http_reply render_metrics(const std::vector<prometheus::MetricFamily>& families) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return {200, "text/plain; version=0.0.4; charset=utf-8", std::move(out).str()};
}

http_reply render_redis_metrics(const daemon_snapshot& state, std::string_view query) {
  std::optional<std::size_t> asked;
  for (std::size_t begin = 0; begin < query.size();) {
    const auto [part, key, value] = next_parameter(query, begin);
    if (key != "bus" || asked) {
      return text_reply(400, "'" + printable_name(part) + "': /metrics/redis takes one bus=NAME\n");
    }
    asked = bus_called(state, value);
    if (!asked) return no_such_bus(state, value);
  }
  if (!asked) return no_bus_named(state);
  return render_metrics(export_redis_metrics(state, *asked));
}

}  // namespace dualbus::admin
