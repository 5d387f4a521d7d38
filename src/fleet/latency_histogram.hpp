#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace dualbus::fleet {

/// Durations from 1 ns to centuries, each kept to within 1/32 of itself; recording is a few instructions.
class latency_histogram {
 public:
  /// Negative durations count as zero.
  void record(std::chrono::nanoseconds value);
  void merge(const latency_histogram& other);

  std::uint64_t count() const { return count_; }
  std::chrono::nanoseconds max() const { return max_; }
  /// The least value that `share` (0…1) of all are not above, rounded up by at most 1/32; zero if there are
  /// none. percentile(1) is max().
  std::chrono::nanoseconds percentile(double share) const;

 private:
  static constexpr unsigned fraction_bits = 5;
  static constexpr std::size_t buckets = (64 - fraction_bits + 1) << fraction_bits;

  static std::size_t bucket_of(std::uint64_t ns);
  static std::uint64_t upper_bound(std::size_t bucket);

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds max_{0};
};

}  // namespace dualbus::fleet
