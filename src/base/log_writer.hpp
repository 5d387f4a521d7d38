#pragma once

#include "log_throttle.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/base/unique_fd.hpp>

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
  struct hooks {
    /// Called on the thread now and then, at least once a second while the descriptor takes what is written.
    std::function<void()> idle = {};
    /// The line about lines that are lost, from their number; with its line break.
    std::function<std::string(std::uint64_t)> about_losses = {};
    /// Told on the thread why a file cannot be opened.
    std::function<void(const std::string&)> cannot_open = {};
  };

  explicit log_writer(int fd) : log_writer(fd, hooks{}) {}
  log_writer(int fd, hooks told);
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  /// May be called from any thread; never waits for the descriptor. A line ends with its line break. If too
  /// much is waiting, the line is dropped and counted.
  void write(std::string_view line);
  /// What is written from now on goes to that file, which the thread opens, and makes if it is not there, and
  /// which it closes when there is another; nowhere if `path` is empty, or if the file cannot be opened.
  void open(const std::string& path);
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
  struct item {
    std::string text;
    bool is_path = false;  // to be opened for the lines behind it
  };
  void write_items(const std::vector<item>& items);
  void write_line(const std::string& line);
  bool write_all(std::string_view bytes);
  void follow(const std::string& path);
  bool is_asked_to_open() const;

  int fd_;  // the thread's
  unique_fd file_;
  const hooks told_;
  mutable std::mutex mutex_;  // guards what follows up to thread_
  std::condition_variable changed_, written_;
  std::vector<item> waiting_;
  std::size_t waiting_bytes_ = 0, being_written_ = 0;
  std::uint64_t lost_ = 0, lost_unsaid_ = 0;
  bool busy_ = false, stopping_ = false;
  std::size_t paths_ = 0;     // that have yet to be opened
  bool within_line_ = false;  // the thread's: the last write ended in the middle of a line
  std::thread thread_;
};

}  // namespace dualbus::base
