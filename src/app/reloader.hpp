#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dualbus::app {

/// Runs reloads on a thread of its own, since a reload may have to wait for buses. They run one after the
/// other; however often one is asked for while another runs, one more follows.
class reloader {
 public:
  explicit reloader(std::function<void()> reload);
  ~reloader();  ///< stops

  void ask();  ///< from any thread
  /// Has `task` called on the thread of reloads, never during one. From any thread.
  void post(std::function<void()> task);
  void stop();  ///< waits for a running reload; one that has not begun is dropped

 private:
  void run();
  void wake();

  const std::function<void()> reload_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false, stopping_ = false;
  std::vector<std::function<void()>> tasks_;
  std::thread thread_;  // begins with the first ask() or post()
};

}  // namespace dualbus::app
