#pragma once

#include "hand_over_giver.hpp"

#include <dualbus/base/unique_fd.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace dualbus::app {

/// The Unix socket at which a successor knocks (`control.socket`), and the thread that answers there, and
/// that hands over to new workers of this process. One hand-over at a time; whoever else comes meanwhile
/// waits for its end.
class control_socket {
 public:
  using on_outcome = std::function<void(const hand_over_giver::outcome&, int successor)>;

  /// `ended` is called on the thread behind each attempt. The daemon outlives it. No path: nobody can knock.
  control_socket(std::string path, hand_over_source& daemon, on_outcome ended);
  ~control_socket();  ///< stops
  control_socket(const control_socket&) = delete;
  control_socket& operator=(const control_socket&) = delete;

  /// Nothing without a path. Throws std::system_error, whose text names the path. `replace`: takes the path
  /// over from a daemon that still has it, in one step; otherwise it is an error if somebody listens there.
  void listen(bool replace);
  void start();
  /// Hands over to whoever is at the other end of `taker`, soon. From any thread.
  void hand_over_to(base::unique_fd taker);
  /// Calls a hand-over off, and waits for that. Removes the path, unless somebody else listens there now.
  void stop();

 private:
  void run();
  void wake();
  void serve(base::unique_fd peer);
  void listen_again();

  const std::string path_;
  hand_over_source& daemon_;
  const on_outcome ended_;
  base::unique_fd listener_, wake_;
  std::atomic<bool> stopping_{false};
  std::uint64_t file_ = 0;  // the number of the socket's file; 0: none
  std::mutex mutex_;
  base::unique_fd waiting_;  // guarded by it
  std::thread thread_;
};

}  // namespace dualbus::app
