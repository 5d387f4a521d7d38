#pragma once

#include "daemon_snapshot.hpp"

#include <dualbus/console/recent.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dualbus::admin {

/// The figures of the last quarter of an hour, one point a second, for the charts of the page. From any
/// thread.
class chart_history {
 public:
  static constexpr std::size_t most_points = 900;
  /// Further message types are added up as "other".
  static constexpr std::size_t most_types = 24;

  void add(const daemon_snapshot& state, const console::recent& recent,
           std::chrono::system_clock::time_point now);

  /// Goes on with another one's points.
  void continue_from(const chart_history& before);

  /// JSON: the names of buses and of message types by bus, and the points that are newer than `after`, a Unix
  /// time in seconds. An unknown figure is null.
  std::string json_after(double after) const;

 private:
  using figure = std::optional<float>;
  struct bus_point {
    figure cpu_percent, requests, p99_ms, connections, memory_bytes;
  };
  struct point {
    double time;  // Unix, seconds
    std::vector<bus_point> buses;
    std::vector<figure> types;  // messages per second, by types_
  };
  using type_of_bus = std::pair<std::string, std::string>;  // bus, type

  std::size_t place_of(const std::string& bus, const std::string& type);

  mutable std::mutex mutex_;  // guards all below
  std::vector<std::string> buses_;
  std::vector<type_of_bus> types_;
  std::deque<point> points_;
};

}  // namespace dualbus::admin
