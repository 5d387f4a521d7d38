#include <dualbus/metrics/engine_rows.hpp>

namespace dualbus::metrics {

engine_counters& engine_counters::operator+=(const engine_counters& other) {
  add_fields(engine_rows, *this, other);
  return *this;
}

}  // namespace dualbus::metrics
