#include <dualbus/metrics/metric_description.hpp>

namespace dualbus::metrics {

std::string_view kind_name(kind k) {
  switch (k) {
    case kind::counter:
      return "counter";
    case kind::gauge:
      return "gauge";
    case kind::histogram:
      return "histogram";
  }
  return {};
}

}  // namespace dualbus::metrics
