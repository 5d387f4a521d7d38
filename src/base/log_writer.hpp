#pragma once

#include "log_throttle.hpp"

#include <dualbus/base/clock.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace dualbus::base {

/// Writes lines to a descriptor on a thread of its own, which alone waits when the other side does not read,
/// is slow or is full. The descriptor is not made non-blocking: other processes share it.
class log_writer {
 public:
  /// `idle` is called on the thread now and then, at least once a second while the descriptor takes what is
  /// written.
  explicit log_writer(int fd, std::function<void()> idle = {});
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  /// May be called from any thread; never waits for the descriptor. A line ends with its line break. If too
  /// much is waiting, the line is dropped and counted.
  void write(std::string_view line);
  /// Waits until everything is written or lost, `longest` at most. False if something is left.
  bool flush(duration longest);
  /// Lines that the descriptor did not take.
  std::uint64_t lost() const;
  /// Lines that the descriptor has yet to take.
  std::size_t waiting() const;
  /// Ends the thread, which must not be waiting for the descriptor. Without stop() the thread goes on for
  /// ever, and the object must outlive it.
  void stop();

 private:
  void run();
  void write_lines(const std::vector<std::string>& lines);
  bool write_all(std::string_view bytes);

  const int fd_;
  const std::function<void()> idle_;
  mutable std::mutex mutex_;  // guards what follows up to thread_
  std::condition_variable changed_, written_;
  std::vector<std::string> waiting_;
  std::size_t waiting_bytes_ = 0, being_written_ = 0;
  std::uint64_t lost_ = 0, lost_unsaid_ = 0;
  bool busy_ = false, stopping_ = false;
  bool within_line_ = false;  // the thread's: the last write ended in the middle of a line
  std::thread thread_;
};

}  // namespace dualbus::base
