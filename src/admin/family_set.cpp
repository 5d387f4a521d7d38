#include "family_set.hpp"

#include <cassert>
#include <cstddef>
#include <limits>
#include <utility>

namespace dualbus::admin {
namespace {

prometheus::MetricType type_of(metrics::kind kind) {
  switch (kind) {
    case metrics::kind::counter:
      return prometheus::MetricType::Counter;
    case metrics::kind::gauge:
      return prometheus::MetricType::Gauge;
    case metrics::kind::histogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

family_set::family_set() {
  for (const metrics::metric_description& description : metric_table()) {
    places_.emplace(description.name, families_.size());
    prometheus::MetricFamily family;
    family.name = description.name;
    family.help = description.help;
    family.type = type_of(description.kind);
    families_.push_back(std::move(family));
  }
}

prometheus::ClientMetric& family_set::append(const metrics::metric_description& metric,
                                             const label_values& labels) {
  prometheus::ClientMetric& row = families_[places_.at(metric.name)].metric.emplace_back();
  std::string_view names = metric.labels;
  for (const std::string_view value : labels) {
    assert(!names.empty());
    const std::size_t comma = names.find(", ");
    row.label.push_back({std::string(names.substr(0, comma)), std::string(value)});
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 2);
  }
  assert(names.empty());
  return row;
}

void family_set::add(const metrics::metric_description& metric, const label_values& labels,
                     std::optional<double> value) {
  if (!value) return;
  prometheus::ClientMetric& row = append(metric, labels);
  row.counter.value = *value;
  row.gauge.value = *value;
}

void family_set::add(const metrics::metric_description& metric, const label_values& labels,
                     const metrics::histogram& values) {
  prometheus::ClientMetric::Histogram& out = append(metric, labels).histogram;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i <= metrics::histogram::bounds_ns.size(); ++i) {
    cumulative += values.count(i);
    const double bound = i < metrics::histogram::bounds_ns.size()
                             ? static_cast<double>(metrics::histogram::bounds_ns[i]) / 1e9
                             : std::numeric_limits<double>::infinity();
    out.bucket.push_back({cumulative, bound});
  }
  out.sample_count = cumulative;
  out.sample_sum = static_cast<double>(values.sum_ns()) / 1e9;
}

std::vector<prometheus::MetricFamily> family_set::take() {
  std::erase_if(families_, [](const prometheus::MetricFamily& family) { return family.metric.empty(); });
  return std::move(families_);
}

}  // namespace dualbus::admin
