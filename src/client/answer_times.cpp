#include <dualbus/client/answer_times.hpp>

#include <algorithm>

namespace dualbus::client {

base::duration answer_times::last_bus_time(base::time_point arrived, base::time_point now) const {
  if (answers_.empty()) return {};
  return std::clamp(answers_.back().arrived_plus_bus_time - arrived, base::duration::zero(), now - arrived);
}

void answer_times::end_turn() {
  if (answers_.empty()) return;
  const base::time_point end = base::clock::now();
  for (const answer& a : answers_) {
    metrics_.buses[a.bus].daemon_duration.observe(
        std::max(base::duration::zero(), end - a.arrived_plus_bus_time));
  }
  answers_.clear();
}

}  // namespace dualbus::client
