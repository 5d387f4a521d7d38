#include <dualbus/metrics/histogram.hpp>

#include <numeric>

namespace dualbus::metrics {

void histogram::merge(const histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  sum_ns_ += other.sum_ns_;
}

std::uint64_t histogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

}  // namespace dualbus::metrics
