#pragma once

#include <cstdint>
#include <string_view>

namespace dualbus::metrics {

enum class kind : std::uint8_t { counter, gauge, histogram };
std::string_view kind_name(kind k);

/// The part of the reference that holds a metric. The reference and the page have the parts in this order.
enum class section : std::uint8_t { daemon, requests, engines, buses, draining, redis };
inline constexpr std::size_t section_count = 6;

/// Everything that is said about a metric.
struct metric_description {
  metrics::section section{};
  metrics::kind kind{};
  std::string_view name;
  std::string_view labels;   ///< separated by ", ", without a histogram's "le"
  std::string_view help;     ///< on the page, for Prometheus
  std::string_view meaning;  ///< in the reference, for people: Markdown, fit for a cell
};

}  // namespace dualbus::metrics
