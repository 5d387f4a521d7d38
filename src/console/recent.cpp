#include <dualbus/console/recent.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::console {
namespace {

// Samples are taken by a thread that may be late; the sample that is nearest to a window's beginning stands
// for it.
std::shared_ptr<const sample> nearest(const std::deque<std::shared_ptr<const sample>>& samples,
                                      base::time_point wanted) {
  const auto distance = [wanted](const auto& one) {
    return one->taken > wanted ? one->taken - wanted : wanted - one->taken;
  };
  return *std::min_element(samples.begin(), samples.end(),
                           [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
}

}  // namespace

std::optional<double> quantile(const metrics::histogram& before, const metrics::histogram& now, double q) {
  constexpr auto& bounds = metrics::histogram::bounds_ns;
  std::array<std::uint64_t, bounds.size() + 1> counts;
  const bool anew = now.total() < before.total();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = now.count(i) - (anew ? 0 : std::min(before.count(i), now.count(i)));
    total += counts[i];
  }
  if (total == 0) return std::nullopt;
  const double rank = q * static_cast<double>(total);
  double below = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const double in_bucket = static_cast<double>(counts[i]);
    if (below + in_bucket >= rank && in_bucket > 0) {
      const double lower = i == 0 ? 0 : static_cast<double>(bounds[i - 1]);
      return lower + (static_cast<double>(bounds[i]) - lower) * (rank - below) / in_bucket;
    }
    below += in_bucket;
  }
  return static_cast<double>(bounds.back());
}

const sample& recent::now() const {
  static const sample none;
  return now_ ? *now_ : none;
}

double recent::seconds(const sample& before) const {
  return std::chrono::duration<double>(now_->taken - before.taken).count();
}

by_window recent::bus_milliseconds(std::size_t bus, double q) const {
  by_window result;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (!before_[i] || bus >= now_->buses.size()) continue;
    static const metrics::histogram none;
    const bool was_there = bus < before_[i]->buses.size();
    const auto value =
        quantile(was_there ? before_[i]->buses[bus].bus_duration : none, now_->buses[bus].bus_duration, q);
    if (value) result[i] = *value / 1e6;
  }
  return result;
}

void history::add(sample taken) {
  const auto now = std::make_shared<const sample>(std::move(taken));
  std::array<std::shared_ptr<const sample>, windows.size()> before;
  if (!samples_.empty() && samples_.back()->taken < now->taken) {
    for (std::size_t i = 0; i < windows.size(); ++i) before[i] = nearest(samples_, now->taken - windows[i]);
  }
  samples_.push_back(now);
  // One older than the longest window stays, since the next sample may be late.
  while (samples_.size() > 2 && samples_[1]->taken <= now->taken - windows.back()) samples_.pop_front();
  const std::scoped_lock lock(mutex_);
  current_ = recent(now, std::move(before));
}

recent history::current() const {
  const std::scoped_lock lock(mutex_);
  return current_;
}

}  // namespace dualbus::console
