#include "log_writer.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace dualbus::base {
namespace {

// Enough for a burst of lines while their reader is busy for a moment.
constexpr std::size_t most_waiting_bytes = std::size_t{1} << 20;
// A pipe that poll() says is writable takes this many bytes without blocking (pipe(7), PIPE_BUF).
constexpr std::size_t piece_bytes = 4096;

}  // namespace

log_writer::log_writer(int fd, hooks told) : fd_(fd), told_(std::move(told)) {
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
  waiting_.push_back({std::string(line)});
  if (waiting_.size() == 1) changed_.notify_one();
}

void log_writer::open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!waiting_.empty() && waiting_.back().is_path) {
    waiting_.back().text = path;
    return;
  }
  ++paths_;
  waiting_.push_back({path, true});
  if (waiting_.size() == 1) changed_.notify_one();
}

bool log_writer::is_asked_to_open() const {
  const std::lock_guard lock(mutex_);
  return paths_ > 0;
}

void log_writer::follow(const std::string& path) {
  within_line_ = false;
  file_.reset();
  if (!path.empty()) {
    // Not blocking: a pipe without a reader would hold the thread up here, and not let it go to another file.
    file_ = unique_fd(
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640));
    if (!file_ && told_.cannot_open) told_.cannot_open(std::generic_category().message(errno));
  }
  fd_ = file_.get();
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
    const std::vector<item> items = std::exchange(waiting_, {});
    waiting_bytes_ = 0;
    being_written_ = items.size();
    if (items.empty() && stopping_) return;
    busy_ = true;
    lock.unlock();
    write_items(items);
    if (told_.idle) told_.idle();
    lock.lock();
    busy_ = false;
    if (waiting_.empty()) written_.notify_all();
  }
}

void log_writer::write_items(const std::vector<item>& items) {
  for (const item& each : items) {
    if (each.is_path) {
      follow(each.text);
    } else {
      write_line(each.text);
    }
    const std::lock_guard lock(mutex_);
    --being_written_;
    if (each.is_path) --paths_;
  }
}

void log_writer::write_line(const std::string& line) {
  std::uint64_t unsaid;
  {
    const std::lock_guard lock(mutex_);
    unsaid = lost_unsaid_;
  }
  const std::string before = within_line_ ? "\n" : "";
  std::string note;
  if (unsaid > 0)
    note = told_.about_losses ? told_.about_losses(unsaid)
                              : std::to_string(unsaid) + " lines of the log are lost\n";
  const bool taken = write_all(before + note + line);
  const std::lock_guard lock(mutex_);
  if (taken) {
    lost_unsaid_ -= unsaid;
  } else {
    ++lost_;
    ++lost_unsaid_;
  }
}

bool log_writer::write_all(std::string_view bytes) {
  if (fd_ < 0) return false;
  while (!bytes.empty()) {
    pollfd ready{fd_, POLLOUT, 0};
    // A file that takes nothing, such as a pipe, is left for the next one.
    if (::poll(&ready, 1, file_ ? 1000 : -1) == 0) {
      if (!is_asked_to_open()) continue;
      fd_ = -1;
      return false;
    }
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
