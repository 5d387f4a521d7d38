#pragma once

#include <pthread.h>
#include <signal.h>
#include <thread>
#include <utility>

namespace dualbus::app {

/// A thread that gets no signals: the main thread handles them.
template <typename Run>
std::thread start_quiet_thread(Run&& run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread made(std::forward<Run>(run));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return made;
}

}  // namespace dualbus::app
