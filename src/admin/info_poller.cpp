#include "redis_connection.hpp"
#include "stop_signal.hpp"
#include "thread_setup.hpp"

#include <dualbus/admin/info_poller.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

namespace dualbus::admin {
namespace {

// Enough for any INFO, whose longest part is one line per command.
constexpr redis_connection::options connection_options = {.name = "dualbusd-info",
                                                          .max_reply_bytes = 4 << 20};

}  // namespace

class info_poller::bus_poller {
 public:
  bus_poller(std::string name, config::bus_settings bus, bool leaving, const settings& timing,
             const stop_signal& stop)
      : name_(std::move(name)),
        bus_(std::move(bus)),
        leaving_(leaving),
        timing_(timing),
        stop_(stop),
        connection_(bus_, stop, connection_options) {}

  void start() {
    thread_ = start_quiet_thread("info-" + name_, [this] { run(); });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  bus_status status() const {
    const std::scoped_lock lock(mutex_);
    return status_;
  }

 private:
  void run() {
    std::minstd_rand random(std::random_device{}());
    std::chrono::milliseconds delay = timing_.backoff_min;
    for (;;) {
      const base::time_point begun = base::clock::now();
      base::time_point next = begun + timing_.interval;
      if (poll()) {
        delay = timing_.backoff_min;
      } else {
        // Half of the delay is random: daemons that lost the same Redis shall not come back in step.
        const auto half = delay / 2;
        next =
            base::clock::now() + half +
            std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, half.count())(random));
        delay = std::min(delay * 2, timing_.backoff_max);
      }
      if (stop_.wait(-1, 0, next) == stop_signal::wake::stopped) break;
    }
    connection_.close();
  }

  bool poll() {
    std::optional<std::string_view> text;
    if (connection_.is_open() || connection_.open(base::clock::now() + timing_.connect_timeout)) {
      text = ask();
    }
    if (!text) {
      if (!stop_.raised()) note_failure(connection_.error());
      return false;
    }
    redis_info info = parse_info(*text);
    if (!info.recognised()) {
      connection_.close();
      note_failure("INFO: the answer is not Redis's");
      return false;
    }
    note_answer(std::move(info), base::clock::now());
    if (leaving_) connection_.close();
    return true;
  }

  std::optional<std::string_view> ask() {
    const auto reply = connection_.ask({"INFO", "all"}, base::clock::now() + timing_.reply_timeout,
                                       redis_connection::scalars);
    if (!reply) {
      connection_.fail("INFO: " + connection_.error());
      return {};
    }
    const resp::reply_value value = resp::reply_reader(*reply).next();
    if (value.is_error()) {
      connection_.fail("INFO: " + std::string(value.text));
      return {};
    }
    return value.text;
  }

  void note_failure(const std::string& reason) {
    // One line when it goes away, not one per attempt.
    if (!reported_down_) {
      base::warn_limited(name_, "bus {} ({}): {}", name_, bus_.endpoint, base::in_log(reason, 200));
    }
    reported_down_ = true;
    const std::scoped_lock lock(mutex_);
    status_.up = false;
    status_.error = printable_name(reason);
    status_.cpu_ratio.reset();
    ++status_.failures;
  }

  void note_answer(redis_info info, base::time_point now) {
    if (reported_down_ || !reported_up_) {
      base::info_limited(name_, "bus {} ({}): {} answers INFO", name_, bus_.endpoint,
                         base::in_log(info.software()));
    }
    reported_down_ = false;
    reported_up_ = true;
    const std::string evicting = info.evicts_streams() ? info.maxmemory_policy : std::string();
    if (evicting != reported_policy_) {
      if (evicting.empty()) {
        base::info_limited(name_, "bus {}: Redis does not evict whole streams any more", name_);
      } else {
        base::warn_limited(name_,
                           "bus {}: maxmemory-policy {} with maxmemory {:.0f} can evict a whole stream",
                           name_, base::in_log(evicting), info.maxmemory.value_or(0));
      }
      reported_policy_ = evicting;
    }
    if (take(std::move(info), now) && timing_.on_other_redis) timing_.on_other_redis();
  }

  // True if it comes from another process than the last one.
  bool take(redis_info info, base::time_point now) {
    const std::scoped_lock lock(mutex_);
    const bool other = !status_.info || status_.info->run_id != info.run_id;
    status_.cpu_ratio = cpu_ratio(info, now);
    status_.up = true;
    status_.error.clear();
    status_.info = std::move(info);
    ++status_.polls;
    answered_ = now;
    return other;
  }

  // Empty for the first answer, and for the first after a restart, whose CPU time began at zero again.
  std::optional<double> cpu_ratio(const redis_info& info, base::time_point now) const {
    if (!status_.info || status_.info->run_id != info.run_id) return {};
    if (!info.cpu_sys || !info.cpu_user || !status_.info->cpu_sys || !status_.info->cpu_user) return {};
    const double used = *info.cpu_sys + *info.cpu_user - *status_.info->cpu_sys - *status_.info->cpu_user;
    const double elapsed = std::chrono::duration<double>(now - answered_).count();
    if (used < 0 || elapsed <= 0) return {};
    return used / elapsed;
  }

  const std::string name_;
  const config::bus_settings bus_;
  const bool leaving_;
  const settings& timing_;
  const stop_signal& stop_;
  redis_connection connection_;  // used by the thread only, like the four below
  base::time_point answered_{};  // when status_.info arrived
  bool reported_up_ = false, reported_down_ = false;
  std::string reported_policy_;  // the evicting policy last warned of
  mutable std::mutex mutex_;
  bus_status status_;  // guarded; only the thread writes
  std::thread thread_;
};

struct info_poller::state {
  info_poller::settings timing;
  stop_signal stop;
  std::vector<std::unique_ptr<bus_poller>> buses;
};

info_poller::info_poller(std::vector<std::string> names, std::vector<config::bus_settings> buses,
                         const std::vector<bool>& leaving, settings timing)
    : state_(std::make_unique<state>()) {
  state_->timing = timing;
  for (std::size_t i = 0; i < buses.size(); ++i) {
    state_->buses.push_back(std::make_unique<bus_poller>(
        i < names.size() ? std::move(names[i]) : std::to_string(i), std::move(buses[i]),
        i < leaving.size() && leaving[i], state_->timing, state_->stop));
  }
}

info_poller::~info_poller() {
  stop();
}

void info_poller::start() {
  for (const auto& bus : state_->buses) bus->start();
}

void info_poller::stop() {
  state_->stop.raise();
  for (const auto& bus : state_->buses) bus->join();
}

std::vector<bus_status> info_poller::status() const {
  std::vector<bus_status> result;
  result.reserve(state_->buses.size());
  for (const auto& bus : state_->buses) result.push_back(bus->status());
  return result;
}

}  // namespace dualbus::admin
