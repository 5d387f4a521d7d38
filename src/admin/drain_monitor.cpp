#include "drain_monitor.hpp"

#include "bus_links.hpp"
#include "drain_check.hpp"
#include "info_parser.hpp"
#include "stop_signal.hpp"
#include "thread_setup.hpp"

#include <dualbus/base/log.hpp>

#include <cerrno>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace dualbus::admin {
namespace {

// A bus is watched if it has so many keys that a check takes longer.
constexpr std::chrono::seconds longest_check_of_resting{2};

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bus_links::settings link_settings(const config::configuration& configuration,
                                  const drain_monitor::settings& timing) {
  return {configuration.backend.connect_timeout, timing.reply_timeout, timing.commands_per_second};
}

}  // namespace

bool drain_status::may_rest() const {
  return verdict() == drain_verdict::drained && report->pinned().total == 0 &&
         check_duration <= longest_check_of_resting;
}

class drain_monitor::worker {
 public:
  worker(std::shared_ptr<const config::configuration> configuration, const settings& timing)
      : changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        links_(configuration->buses, stop_, link_settings(*configuration, timing)),
        rest_(timing.rest),
        configuration_(std::move(configuration)) {
    if (!changed_) throw std::system_error(errno, std::generic_category(), "eventfd");
    take_drained(*configuration_);
  }

  void start() {
    thread_ = start_quiet_thread("drain", [this] { run(); });
  }
  void stop() {
    stop_.raise();
    if (thread_.joinable()) thread_.join();
  }

  void set_configuration(std::shared_ptr<const config::configuration> configuration) {
    {
      const std::scoped_lock lock(mutex_);
      configuration_ = std::move(configuration);
    }
    const std::uint64_t one = 1;
    // This can fail only when the counter is full, and then the thread has been woken already.
    [[maybe_unused]] const auto written = ::write(changed_.get(), &one, sizeof one);
  }

  std::vector<drain_status> status() const {
    const std::scoped_lock lock(mutex_);
    return status_;
  }

 private:
  struct watched {
    command::bus_index bus;
    quiet_databases quiet;
  };

  void run() {
    for (;;) {
      std::uint64_t ignored;
      [[maybe_unused]] const auto got = ::read(changed_.get(), &ignored, sizeof ignored);
      const auto configuration = current();
      const command::routing_table table(configuration->routing);
      links_.set_buses(configuration->buses);
      take_drained(*configuration);
      const base::time_point begun = base::clock::now();
      for (std::size_t i = 0; i < drained_.size() && !stop_.raised(); ++i) check(i, *configuration, table);
      links_.rest();
      tell_resting();
      const base::time_point next =
          drained_.empty() ? base::time_point::max() : begun + configuration->draining.interval;
      if (stop_.wait(changed_.get(), POLLIN, next) == stop_signal::wake::stopped) {
        return;
      }
    }
  }

  // A bus that goes on draining keeps what is known of it.
  void take_drained(const config::configuration& configuration) {
    const auto& buses = configuration.routing.buses;
    const std::scoped_lock lock(mutex_);
    std::vector<watched> drained;
    std::vector<drain_status> status;
    for (std::size_t i = 0; i < buses.size(); ++i) {
      if (!buses[i].draining) continue;
      const auto bus = static_cast<command::bus_index>(i);
      const auto before = std::find_if(drained_.begin(), drained_.end(),
                                       [bus](const watched& one) { return one.bus == bus; });
      if (before == drained_.end()) {
        drained.push_back({bus, {}});
        status.emplace_back().bus = bus;
      } else {
        status.push_back(std::move(status_[static_cast<std::size_t>(before - drained_.begin())]));
        drained.push_back(std::move(*before));
      }
    }
    drained_ = std::move(drained);
    status_ = std::move(status);
  }

  std::shared_ptr<const config::configuration> current() const {
    const std::scoped_lock lock(mutex_);
    return configuration_;
  }

  void check(std::size_t index, const config::configuration& configuration,
             const command::routing_table& table) {
    const base::time_point begun = base::clock::now();
    drain_check one(configuration, table, links_, drained_[index].quiet, drained_[index].bus);
    const bool complete = one.run();
    if (stop_.raised()) return;  // a check that stops at the daemon's end has not failed

    const std::scoped_lock lock(mutex_);
    drain_status& status = status_[index];
    const drain_verdict before = status.verdict();
    status.errors.clear();
    for (const auto& [bus, reason] : one.errors()) status.errors[bus] = printable_name(reason);
    status.failures += !status.errors.empty();
    status.healed_groups += one.healed();
    if (complete) {
      ++status.checks;
      status.checked_at = unix_seconds();
      status.check_duration =
          std::chrono::duration_cast<std::chrono::milliseconds>(base::clock::now() - begun);
      status.report = std::make_shared<const drain_report>(std::move(one.report()));
    }
    note_verdict(status, before, table.bus(status.bus).name);
  }

  void tell_resting() {
    if (!rest_) return;
    std::uint32_t buses = 0;
    for (const drain_status& one : status()) buses |= std::uint32_t{one.may_rest()} << one.bus;
    rest_(buses);
  }

  // Logs one line when the verdict changes, not one per check.
  void note_verdict(drain_status& status, drain_verdict before, const std::string& name) {
    const drain_verdict now = status.verdict();
    if (now != drain_verdict::drained) {
      status.drained_since = 0;
    } else if (status.drained_since == 0) {
      status.drained_since = status.checked_at;
    }
    if (now == before && status.checks + status.failures > 1) return;
    switch (now) {
      case drain_verdict::drained:
        base::info_limited(
            name, "bus {} is drained: every group of its {} streams has read and acknowledged everything",
            name, status.report->streams());
        break;
      case drain_verdict::held:
        base::info_limited(
            name, "bus {} is not drained: {} of {} streams are; /drain on the admin listener says why", name,
            status.report->streams_drained(), status.report->streams());
        break;
      case drain_verdict::unknown:
        base::warn_limited(name, "bus {}: whether it is drained is not known: {}", name,
                           status.errors.empty() ? "" : base::in_log(status.errors.begin()->second, 300));
        break;
    }
  }

  stop_signal stop_;
  base::unique_fd changed_;  // readable: there is another configuration
  bus_links links_;          // used by the thread only, like the next
  const std::function<void(std::uint32_t)> rest_;
  std::vector<watched> drained_;  // used by the thread only, once it runs
  mutable std::mutex mutex_;      // guards the two below
  std::shared_ptr<const config::configuration> configuration_;
  std::vector<drain_status> status_;  // by place in drained_
  std::thread thread_;
};

drain_monitor::drain_monitor(std::shared_ptr<const config::configuration> configuration, settings timing)
    : worker_(std::make_unique<worker>(std::move(configuration), timing)) {}

drain_monitor::~drain_monitor() {
  stop();
}

void drain_monitor::start() {
  worker_->start();
}

void drain_monitor::stop() {
  worker_->stop();
}

void drain_monitor::set_configuration(std::shared_ptr<const config::configuration> configuration) {
  worker_->set_configuration(std::move(configuration));
}

std::vector<drain_status> drain_monitor::status() const {
  return worker_->status();
}

}  // namespace dualbus::admin
