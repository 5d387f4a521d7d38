#pragma once

#include <pthread.h>
#include <signal.h>
#include <string>
#include <thread>
#include <utility>

namespace dualbus::admin {

/// A named thread that takes no signals: the main thread takes them. Throws std::system_error.
template <typename Function>
std::thread start_quiet_thread(const std::string& name, Function&& function) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  struct restore {
    const sigset_t& mask;
    ~restore() { pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } restore_mask{before};
  std::thread thread(std::forward<Function>(function));
  pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());  // 15: the kernel's limit
  return thread;
}

}  // namespace dualbus::admin
