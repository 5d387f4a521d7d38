#include "family_set.hpp"

#include <cassert>
#include <cstddef>
#include <limits>
#include <utility>

namespace dualbus::admin {
namespace {

prometheus::MetricType type_of(metric_kind kind) {
  switch (kind) {
    case metric_kind::counter:
      return prometheus::MetricType::Counter;
    case metric_kind::gauge:
      return prometheus::MetricType::Gauge;
    case metric_kind::histogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

family_set::family_set() {
  for (const metric_description& description : metric_table()) {
    prometheus::MetricFamily family;
    family.name = description.name;
    family.help = description.help;
    family.type = type_of(description.kind);
    families_.push_back(std::move(family));
  }
}

prometheus::ClientMetric& family_set::append(metric m, label_values labels) {
  prometheus::ClientMetric& row = families_[static_cast<std::size_t>(m)].metric.emplace_back();
  std::string_view names = describe(m).labels;
  for (const std::string_view value : labels) {
    assert(!names.empty());
    const std::size_t comma = names.find(", ");
    row.label.push_back({std::string(names.substr(0, comma)), std::string(value)});
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 2);
  }
  assert(names.empty());
  return row;
}

void family_set::add(metric m, label_values labels, double value) {
  prometheus::ClientMetric& row = append(m, labels);
  row.counter.value = value;
  row.gauge.value = value;
}

void family_set::add(metric m, label_values labels, std::optional<double> value) {
  if (value) add(m, labels, *value);
}

void family_set::add(metric m, label_values labels, const metrics::histogram& values) {
  prometheus::ClientMetric::Histogram& out = append(m, labels).histogram;
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
