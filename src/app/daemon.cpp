#include "daemon.hpp"

#include "quiet_thread.hpp"
#include "service_manager.hpp"

#include <dualbus/base/log.hpp>

#include <exception>
#include <stdexcept>
#include <utility>

#include <boost/asio/post.hpp>

namespace dualbus::app {

daemon::daemon(boost::asio::io_context& io, std::string path, std::function<void()> end)
    : io_(io), path_(std::move(path)), end_(std::move(end)) {}

daemon::~daemon() {
  stop();
}

daemon::numbered daemon::make(std::shared_ptr<const config::configuration> configuration,
                              predecessor before) {
  unsigned number;
  {
    const std::lock_guard lock(mutex_);
    number = ++last_number_;
  }
  server::hooks told;
  told.path = path_;
  told.ended = [this, number] { boost::asio::post(io_, [this, number] { on_ended(number); }); };
  told.stop_later = [this](std::chrono::milliseconds delay) {
    boost::asio::post(io_, [this, delay] {
      drain_time_.expires_after(delay);
      drain_time_.async_wait([this](const auto& error) {
        if (!error) end_();
      });
    });
  };
  told.replace = [this](const auto& loaded, predecessor present) { replace(loaded, std::move(present)); };
  told.reload_again = [this] {
    const std::lock_guard lock(mutex_);
    reload_again_ = true;
  };
  return {number, std::make_unique<server>(std::move(configuration), std::move(before), std::move(told))};
}

void daemon::start(std::shared_ptr<const config::configuration> configuration, const std::string& take_over) {
  predecessor before;
  before.control_socket = take_over;
  present_ = make(std::move(configuration), std::move(before));
  present_.server->start();
  if (const auto limit = watchdog_limit(); limit.count() > 0) feed_watchdog(limit / 3);
}

// As long as this thread and every worker work: systemd ends and restarts a process from which it does not
// hear.
void daemon::feed_watchdog(std::chrono::microseconds every) {
  watchdog_time_.expires_after(every);
  watchdog_time_.async_wait([this, every](const auto& error) {
    if (error) return;
    if (!present_.server || present_.server->workers_answer()) notify_service_manager("WATCHDOG=1\n");
    feed_watchdog(every);
  });
}

// On the reloader's thread of the present server, which ends before that server does.
void daemon::replace(std::shared_ptr<const config::configuration> configuration, predecessor before) {
  const std::lock_guard starts(starting_);
  server* next = nullptr;
  try {
    numbered made = make(std::move(configuration), std::move(before));
    {
      const std::lock_guard lock(mutex_);
      if (next_.server)
        throw std::runtime_error(
            "the new workers of an earlier reload, which failed, still serve clients: try again when these "
            "have "
            "left");
      next = made.server.get();
      next_ = std::move(made);
    }
    next->start();
  } catch (const std::exception& error) {
    // Before the present server, which hears of the end at once, says that nothing was changed.
    spdlog::error("{}", error.what());
    std::unique_lock lock(mutex_);
    const std::unique_ptr<server> failed = next != nullptr ? std::move(next_.server) : nullptr;
    lock.unlock();
    throw;
  }
}

void daemon::on_ended(unsigned number) {
  // The hand-over may be over before start() has returned.
  const std::lock_guard starts(starting_);
  std::unique_lock lock(mutex_);
  if (next_.server && number == next_.number) return retire(std::move(next_.server));
  if (!present_.server || number != present_.number) return;
  if (!present_.server->replaced()) {
    lock.unlock();
    return boost::asio::post(io_, end_);
  }
  retire(std::exchange(present_, std::move(next_)).server);
  if (std::exchange(reload_again_, false)) present_.server->reload();
}

// The last clients of a server may take a while to end.
void daemon::retire(std::unique_ptr<server> which) {
  retiring_.push_back(start_quiet_thread([old = std::move(which)]() mutable { old.reset(); }));
}

void daemon::reload() {
  if (present_.server) present_.server->reload();
}

void daemon::drain() {
  const std::lock_guard lock(mutex_);
  for (const auto& each : {&present_, &next_})
    if (each->server) each->server->drain();
}

void daemon::stop() {
  if (present_.server) present_.server->stop();
  std::unique_lock lock(mutex_);
  const std::unique_ptr<server> other = std::move(next_.server);
  lock.unlock();
  if (other) other->stop();
  for (std::thread& each : retiring_) each.join();
  retiring_.clear();
}

}  // namespace dualbus::app
