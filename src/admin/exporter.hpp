#pragma once

#include "daemon_snapshot.hpp"

#include <cstddef>
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
  explicit exporter(std::function<daemon_snapshot()> observe);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::function<daemon_snapshot()> observe_;
};

/// The families of one state. A series stands in them once. A series whose value nobody knows (of a Redis
/// that does not answer) is left out.
std::vector<prometheus::MetricFamily> export_metrics(const daemon_snapshot& state);

/// The families about one Redis, without the label `bus`: what redis_exporter would show of it.
std::vector<prometheus::MetricFamily> export_redis_metrics(const daemon_snapshot& state, std::size_t bus);

}  // namespace dualbus::admin
