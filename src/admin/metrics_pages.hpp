#pragma once

#include "daemon_snapshot.hpp"
#include "http_server.hpp"

#include <string_view>
#include <vector>

#include <prometheus/metric_family.h>

namespace dualbus::admin {

/// The families in Prometheus's text format.
http_reply render_metrics(const std::vector<prometheus::MetricFamily>& families);

/// The page /metrics/redis?bus=NAME: what redis_exporter would show of the bus's Redis. Dashboards made for
/// it add up what has one `instance`; so each bus is a target of its own, which gets an `instance` of its
/// own.
http_reply render_redis_metrics(const daemon_snapshot& state, std::string_view query);

}  // namespace dualbus::admin
