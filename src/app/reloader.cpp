#include <dualbus/app/reloader.hpp>

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
  changed_.notify_one();
  if (thread_.joinable()) return;
  // Signals are the main thread's.
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
    changed_.wait(lock, [this] { return asked_ || stopping_; });
    if (stopping_) return;
    asked_ = false;
    lock.unlock();
    reload_();
    lock.lock();
  }
}

}  // namespace dualbus::app
