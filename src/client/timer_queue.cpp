#include <dualbus/client/timer_queue.hpp>

namespace dualbus::client {

timer_queue::id timer_queue::add(base::time_point when, std::function<void()> function) {
  const id timer{when, ++last_};
  timers_.emplace(timer, std::move(function));
  return timer;
}

std::optional<base::time_point> timer_queue::next() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

void timer_queue::run_due(base::time_point now) {
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const auto node = timers_.extract(timers_.begin());
    node.mapped()();
  }
}

}  // namespace dualbus::client
