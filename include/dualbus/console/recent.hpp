#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/command/classifier.hpp>
#include <dualbus/metrics/engine_table.hpp>
#include <dualbus/metrics/histogram.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The rates of the last minute, from samples of all counters that somebody takes every second.
namespace dualbus::console {

/// The counters of all workers, added up, at one moment. Buses are by index.
struct sample {
  base::time_point taken{};
  std::uint64_t clients = 0, parked_readers = 0;  ///< at this moment
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;  ///< of these, every outcome but `ok`
  std::vector<metrics::bus_metrics> buses;
  std::map<std::string, command::message_row> types;        ///< by the printable name of the message type
  std::map<std::string, metrics::engine_counters> engines;  ///< by the printable name
};

/// The time that a rate or a percentile covers.
inline constexpr std::array<std::chrono::seconds, 3> windows{
    std::chrono::seconds(1), std::chrono::seconds(10), std::chrono::seconds(60)};
inline constexpr std::array<std::string_view, windows.size()> window_names{"1s", "10s", "60s"};

/// One value for each window; a value that nobody knows, in the first second, is empty.
using by_window = std::array<std::optional<double>, windows.size()>;

/// The value below which the share `q` of the durations lies that came between two counts of one histogram,
/// in nanoseconds: within a bucket they are taken to be spread evenly, as in Prometheus's histogram_quantile.
/// Empty if there came none. A value in the last bucket, which has no upper bound, counts as its lower one.
std::optional<double> quantile(const metrics::histogram& before, const metrics::histogram& now, double q);

/// The last sample, and for each window the one at its beginning. It can be copied and read by any thread.
class recent {
 public:
  recent() = default;
  recent(std::shared_ptr<const sample> now, std::array<std::shared_ptr<const sample>, windows.size()> before)
      : now_(std::move(now)), before_(std::move(before)) {}

  /// Zeros until the first sample was taken.
  const sample& now() const;

  /// The growth per second of get(sample). A counter that has fallen has begun anew at zero, as behind a
  /// reload that starts other workers.
  template <typename Get>
  by_window rates(const Get& get) const {
    by_window result;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      if (!before_[i]) continue;
      const double value = static_cast<double>(get(*now_)), then = static_cast<double>(get(*before_[i]));
      result[i] = (value < then ? value : value - then) / seconds(*before_[i]);
    }
    return result;
  }
  /// Of the time from sending to the bus's answer, in milliseconds.
  by_window bus_milliseconds(std::size_t bus, double q) const;

 private:
  double seconds(const sample& before) const;

  std::shared_ptr<const sample> now_;
  std::array<std::shared_ptr<const sample>, windows.size()> before_;
};

/// Keeps the samples of the last minute. One thread adds, any may ask.
class history {
 public:
  void add(sample taken);
  recent current() const;

 private:
  mutable std::mutex mutex_;  // guards current_
  std::deque<std::shared_ptr<const sample>> samples_;
  recent current_;
};

}  // namespace dualbus::console
