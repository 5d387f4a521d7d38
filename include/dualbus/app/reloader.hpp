#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace dualbus::app {

/// Runs reloads on a thread of its own, since one may have to wait for buses: one after the other, and one
/// more if it is asked for while one runs.
class reloader {
 public:
  explicit reloader(std::function<void()> reload);
  ~reloader();  ///< stops

  void ask();   ///< from any thread
  void stop();  ///< when what runs has ended; a reload that has not begun is dropped

 private:
  void run();

  const std::function<void()> reload_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false, stopping_ = false;
  std::thread thread_;  // begins with the first ask
};

}  // namespace dualbus::app
