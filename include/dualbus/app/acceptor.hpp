#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/base/poller.hpp>
#include <dualbus/session/worker_context.hpp>

namespace dualbus::app {

/// Takes connections from a listening socket and hands them to a worker's sessions. When descriptors run out
/// it rests for a while instead of asking again and again.
class acceptor final : public base::io_handler {
 public:
  /// `listener` is shared with other workers if `shared`: then one of them is woken per connection.
  acceptor(session::worker_context& context, base::unique_fd listener, bool tcp, bool shared);
  ~acceptor() override;

  /// Listens again after a rest.
  void tick(base::time_point now);

  void on_readable() override;
  void on_writable() override {}
  void on_hangup(bool) override {}

 private:
  void watch();

  session::worker_context& context_;
  base::unique_fd listener_;
  const bool tcp_, shared_;
  bool resting_ = false;
  base::time_point rest_until_{};
};

}  // namespace dualbus::app
