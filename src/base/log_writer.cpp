#include "log_writer.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace dualbus::base {
namespace {

// Enough for a burst of lines while their reader is busy for a moment.
constexpr std::size_t most_waiting_bytes = std::size_t{1} << 20;
// A pipe that poll() says is writable takes this many bytes without blocking (pipe(7), PIPE_BUF).
constexpr std::size_t piece_bytes = 4096;

}  // namespace

log_writer::log_writer(int fd, std::function<void()> idle) : fd_(fd), idle_(std::move(idle)) {
  sigset_t all, before;  // signals are the main thread's
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "log");
}

void log_writer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void log_writer::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (waiting_bytes_ + line.size() > most_waiting_bytes) {
    ++lost_;
    ++lost_unsaid_;
    return;
  }
  waiting_bytes_ += line.size();
  waiting_.emplace_back(line);
  if (waiting_.size() == 1) changed_.notify_one();
}

bool log_writer::flush(duration longest) {
  std::unique_lock lock(mutex_);
  return written_.wait_for(lock, longest, [this] { return waiting_.empty() && !busy_; });
}

std::uint64_t log_writer::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

std::size_t log_writer::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size() + being_written_;
}

void log_writer::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_ || !waiting_.empty(); });
    const std::vector<std::string> lines = std::exchange(waiting_, {});
    waiting_bytes_ = 0;
    being_written_ = lines.size();
    if (lines.empty() && stopping_) return;
    busy_ = true;
    lock.unlock();
    if (!lines.empty()) write_lines(lines);
    if (idle_) idle_();
    lock.lock();
    busy_ = false;
    if (waiting_.empty()) written_.notify_all();
  }
}

void log_writer::write_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    std::uint64_t unsaid;
    {
      const std::lock_guard lock(mutex_);
      unsaid = lost_unsaid_;
    }
    const std::string before = within_line_ ? "\n" : "";
    const std::string note =
        unsaid == 0
            ? ""
            : std::to_string(unsaid) + " lines of the log are lost: standard error did not take them\n";
    const bool taken = write_all(before + note + line);
    const std::lock_guard lock(mutex_);
    --being_written_;
    if (taken) {
      lost_unsaid_ -= unsaid;
    } else {
      ++lost_;
      ++lost_unsaid_;
    }
  }
}

bool log_writer::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{fd_, POLLOUT, 0};
    ::poll(&ready, 1, -1);
    const ssize_t written = ::write(fd_, bytes.data(), std::min(bytes.size(), piece_bytes));
    if (written < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return false;  // a full disk, a pipe that nobody has open any more
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
    if (written > 0) within_line_ = !bytes.empty();
  }
  return true;
}

}  // namespace dualbus::base
