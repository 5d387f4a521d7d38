#include "latency_histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace dualbus::fleet {

// Values below 2^fraction_bits have a bucket each; above, every power of two is cut into 2^fraction_bits.
std::size_t latency_histogram::bucket_of(std::uint64_t ns) {
  const auto width = static_cast<unsigned>(std::bit_width(ns));
  if (width <= fraction_bits) return ns;
  const unsigned shift = width - fraction_bits - 1;
  return (static_cast<std::size_t>(shift) << fraction_bits) + static_cast<std::size_t>(ns >> shift);
}

std::uint64_t latency_histogram::upper_bound(std::size_t bucket) {
  constexpr std::size_t per_power = std::size_t{1} << fraction_bits;
  if (bucket < 2 * per_power) return bucket;
  const std::size_t shift = (bucket >> fraction_bits) - 1;
  const std::uint64_t first = static_cast<std::uint64_t>(bucket - (shift << fraction_bits)) << shift;
  return first + ((std::uint64_t{1} << shift) - 1);
}

void latency_histogram::record(std::chrono::nanoseconds value) {
  value = std::max(value, std::chrono::nanoseconds(0));
  ++counts_[bucket_of(static_cast<std::uint64_t>(value.count()))];
  ++count_;
  max_ = std::max(max_, value);
}

void latency_histogram::merge(const latency_histogram& other) {
  for (std::size_t i = 0; i < buckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::chrono::nanoseconds latency_histogram::percentile(double share) const {
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    seen += counts_[i];
    if (seen >= wanted) {
      return std::min(max_, std::chrono::nanoseconds(static_cast<std::int64_t>(upper_bound(i))));
    }
  }
  return max_;
}

}  // namespace dualbus::fleet
