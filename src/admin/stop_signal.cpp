#include "stop_signal.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <poll.h>
#include <sys/eventfd.h>
#include <system_error>

namespace dualbus::admin {

stop_signal::stop_signal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw std::system_error(errno, std::generic_category(), "eventfd");
}

void stop_signal::raise() {
  const std::uint64_t one = 1;
  // This can fail only when the counter is full, and then the signal has been raised already.
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

bool stop_signal::raised() const {
  return wait(-1, 0, {}) == wake::stopped;
}

stop_signal::wake stop_signal::wait(int fd, short events, base::time_point deadline) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - base::clock::now()).count();
    pollfd fds[2] = {{event_.get(), POLLIN, 0}, {fd, events, 0}};
    const int ready = ::poll(fds, 2, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    if (ready < 0 && errno != EINTR) return wake::timed_out;
    if (fds[0].revents != 0) return wake::stopped;
    if (ready > 0 && fds[1].revents != 0) return wake::ready;
    if (base::clock::now() >= deadline) return wake::timed_out;
  }
}

}  // namespace dualbus::admin
