#pragma once

#include <dualbus/admin/metric_table.hpp>
#include <dualbus/metrics/histogram.hpp>

#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include <prometheus/metric_family.h>

namespace dualbus::admin {

/// Collects values into one family per metric. The caller keeps the label values of a metric distinct:
/// Prometheus refuses a whole page in which a series stands twice.
class family_set {
 public:
  /// In the order of the description's labels.
  using label_values = std::initializer_list<std::string_view>;

  family_set();

  void add(metric m, label_values labels, double value);
  /// Adds nothing when there is no value.
  void add(metric m, label_values labels, std::optional<double> value);
  void add(metric m, label_values labels, const metrics::histogram& values);

  /// The families that have a value, in the table's order.
  std::vector<prometheus::MetricFamily> take();

 private:
  prometheus::ClientMetric& append(metric m, label_values labels);

  std::vector<prometheus::MetricFamily> families_;  // by metric
};

}  // namespace dualbus::admin
