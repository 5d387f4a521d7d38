#include "reloader.hpp"

#include <pthread.h>
#include <signal.h>
#include <utility>

namespace dualbus::app {

reloader::reloader(std::function<void()> reload) : reload_(std::move(reload)) {}

reloader::~reloader() {
  stop();
}

void reloader::ask() {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  asked_ = true;
  wake();
}

void reloader::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  tasks_.push_back(std::move(task));
  wake();
}

void reloader::wake() {
  changed_.notify_one();
  if (thread_.joinable()) return;
  // The main thread handles signals.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void reloader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void reloader::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return asked_ || stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    const bool asked = std::exchange(asked_, false);
    const std::vector<std::function<void()>> tasks = std::exchange(tasks_, {});
    lock.unlock();
    for (const auto& task : tasks) task();
    if (asked) reload_();
    lock.lock();
  }
}

}  // namespace dualbus::app
