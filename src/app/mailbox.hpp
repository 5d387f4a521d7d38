#pragma once

#include <dualbus/base/poller.hpp>

#include <functional>
#include <mutex>
#include <vector>

namespace dualbus::app {

/// The requests of other threads to a worker, in the order in which they came. Wakes the worker's poller.
class mailbox final : public base::io_handler {
 public:
  using letter = std::function<void()>;

  /// Throws std::system_error if there is no descriptor left.
  explicit mailbox(base::poller& poller);
  ~mailbox() override;

  /// From any thread.
  void post(letter posted);
  /// The letters posted since the last call, if one has woken the poller; on the worker's thread.
  std::vector<letter> take();

  void on_readable() override { filled_ = true; }
  void on_writable() override {}
  void on_hangup(bool) override {}

 private:
  base::poller& poller_;
  base::unique_fd event_;
  bool filled_ = false;
  std::mutex mutex_;
  std::vector<letter> letters_;  // guarded by mutex_
};

}  // namespace dualbus::app
