#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace dualbus::metrics {

/// Durations counted in fixed buckets, for one thread; merged when scraped.
class histogram {
 public:
  /// Upper bounds in nanoseconds; one more bucket takes the rest. They bracket the latency targets of a fleet
  /// (0.5, 1 and 2 ms) and the time-outs (1 and 5 s).
  static constexpr std::array<std::int64_t, 17> bounds_ns = {
      10'000,      25'000,      50'000,      100'000,       200'000,      500'000,
      1'000'000,   2'000'000,   5'000'000,   10'000'000,    25'000'000,   50'000'000,
      100'000'000, 250'000'000, 500'000'000, 1'000'000'000, 5'000'000'000};

  void observe(std::chrono::nanoseconds value) {
    const std::int64_t ns = value.count();
    std::size_t i = 0;
    while (i < bounds_ns.size() && ns > bounds_ns[i]) ++i;
    ++counts_[i];
    sum_ns_ += ns;
  }
  void merge(const histogram& other);

  /// The number of values in bucket `i` (not cumulative); bucket bounds_ns.size() has no bound.
  std::uint64_t count(std::size_t i) const { return counts_[i]; }
  std::uint64_t total() const;
  std::int64_t sum_ns() const { return sum_ns_; }

 private:
  std::array<std::uint64_t, bounds_ns.size() + 1> counts_{};
  std::int64_t sum_ns_ = 0;
};

}  // namespace dualbus::metrics
