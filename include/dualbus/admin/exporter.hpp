#pragma once

#include <dualbus/admin/daemon_state.hpp>

#include <functional>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace dualbus::admin {

/// Turns the daemon's state into Prometheus's metric families, when asked.
class exporter : public prometheus::Collectable {
 public:
  /// `observe` is called on the thread that collects.
  explicit exporter(std::function<daemon_state()> observe);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::function<daemon_state()> observe_;
};

/// The families of one state. A series stands in them once, and those whose value nobody knows (of a Redis
/// that does not answer) are left out.
std::vector<prometheus::MetricFamily> export_metrics(const daemon_state& state);

}  // namespace dualbus::admin
