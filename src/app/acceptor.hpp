#pragma once

#include "worker_parts.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/base/poller.hpp>

namespace dualbus::app {

/// Takes connections from a listening socket and hands them to a worker's door. When descriptors run out, it
/// rests for a while instead of trying again and again.
class acceptor final : public base::io_handler {
 public:
  /// `shared`: other workers have the same listener, and one of them is woken per connection.
  acceptor(worker_parts& parts, base::unique_fd listener, bool tcp, bool shared);
  ~acceptor() override;

  /// While it does not accept, connections wait in the listener, for whichever process has it, too.
  void set_accepting(bool value);
  /// Listens again after a rest.
  void tick(base::time_point now);

  void on_readable() override;
  void on_writable() override {}
  void on_hangup(bool) override {}

 private:
  void watch();

  worker_parts& parts_;
  base::unique_fd listener_;
  const bool tcp_, shared_;
  bool resting_ = false, paused_ = false;
  base::time_point rest_until_{};
};

}  // namespace dualbus::app
