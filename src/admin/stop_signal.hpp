#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/base/unique_fd.hpp>

namespace dualbus::admin {

/// Ends the waits of any number of threads, once and for all. It is a descriptor rather than a condition
/// variable because the threads wait for sockets at the same time.
class stop_signal {
 public:
  enum class wake : unsigned char { ready, timed_out, stopped };

  /// Throws std::system_error if there is no descriptor left.
  stop_signal();

  void raise();
  bool raised() const;

  /// Waits until `fd` has one of the poll(2) `events` (or an error, which the next call on it reports), the
  /// deadline passes or somebody raises the signal. -1 waits for no descriptor.
  wake wait(int fd, short events, base::time_point deadline) const;

 private:
  base::unique_fd event_;
};

}  // namespace dualbus::admin
