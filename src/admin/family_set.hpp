#pragma once

#include "metric_table.hpp"

#include <dualbus/metrics/histogram.hpp>
#include <dualbus/metrics/metric_description.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include <prometheus/metric_family.h>

namespace dualbus::admin {

/// Collects values into one family per metric. The caller keeps the label values of a metric distinct:
/// Prometheus refuses a whole page in which a series stands twice.
class family_set {
 public:
  /// The values are in the order of the description's labels.
  using label_values = std::vector<std::string_view>;

  family_set();

  /// Adds nothing when there is no value.
  void add(const metrics::metric_description& metric, const label_values& labels,
           std::optional<double> value);
  void add(const metrics::metric_description& metric, const label_values& labels,
           const metrics::histogram& values);
  void add(metric m, const label_values& labels, std::optional<double> value) {
    add(describe(m), labels, value);
  }

  /// The families that have a value, in the table's order.
  std::vector<prometheus::MetricFamily> take();

 private:
  prometheus::ClientMetric& append(const metrics::metric_description& metric, const label_values& labels);

  std::vector<prometheus::MetricFamily> families_;  // by place in the table
  std::map<std::string_view, std::size_t> places_;  // by name
};

}  // namespace dualbus::admin
