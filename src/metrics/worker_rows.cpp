#include <dualbus/metrics/worker_rows.hpp>

namespace dualbus::metrics {

worker_metrics& worker_metrics::operator+=(const worker_metrics& other) {
  add_fields(worker_rows, *this, other);
  return *this;
}

}  // namespace dualbus::metrics
