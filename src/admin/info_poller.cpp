#include "info_poller.hpp"

#include "redis_connection.hpp"
#include "stop_signal.hpp"
#include "thread_setup.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <poll.h>
#include <random>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace dualbus::admin {
namespace {

using metrics::bus_state;

// Enough for any INFO, whose longest part is one line per command.
constexpr redis_connection::options connection_options = {.name = "dualbusd-info",
                                                          .max_reply_bytes = 4 << 20};

}  // namespace

class info_poller::bus_poller {
 public:
  bus_poller(std::size_t index, std::string name, config::bus_settings bus, bool leaving,
             const settings& timing, const stop_signal& stop)
      : index_(index),
        name_(std::move(name)),
        timing_(timing),
        stop_(stop),
        changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        wanted_(bus),
        leaving_(leaving),
        current_(std::make_unique<link>(std::move(bus), stop)) {
    if (!changed_) throw std::system_error(errno, std::generic_category(), "eventfd");
  }

  void start() {
    thread_ = start_quiet_thread("info-" + name_, [this] { run(); });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  bus_status status() const {
    const std::scoped_lock lock(mutex_);
    bus_status now = status_;
    if (asked_ && base::clock::now() - *asked_ >= timing_.patience) {
      if (now.up) now.error = "INFO: no answer in time";
      now.up = false;
      now.cpu_ratio.reset();
      if (now.verdict.state != bus_state::silent) now.verdict = {bus_state::silent, *asked_};
    }
    return now;
  }
  void set_bus(const config::bus_settings& wanted, bool leaving) {
    leaving_.store(leaving, std::memory_order_relaxed);
    {
      const std::scoped_lock lock(mutex_);
      if (config::same_place(wanted_, wanted) && wanted_.username == wanted.username &&
          wanted_.password == wanted.password) {
        return;
      }
      wanted_ = wanted;
    }
    const std::uint64_t one = 1;
    // This can fail only when the counter is full, and then the thread has been woken already.
    [[maybe_unused]] const auto written = ::write(changed_.get(), &one, sizeof one);
  }

 private:
  struct link {
    link(config::bus_settings settings, const stop_signal& stop)
        : bus(std::move(settings)), connection(bus, stop, connection_options) {}
    const config::bus_settings bus;
    redis_connection connection;
  };

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
      const stop_signal::wake why = stop_.wait(changed_.get(), POLLIN, next);
      if (why == stop_signal::wake::stopped) break;
      if (why != stop_signal::wake::ready) continue;
      take_wanted();
      delay = timing_.backoff_min;
    }
    current_->connection.close();
  }

  // The present connection goes on until the new place, or the new login, has been accepted.
  void take_wanted() {
    std::uint64_t ignored;
    [[maybe_unused]] const auto got = ::read(changed_.get(), &ignored, sizeof ignored);
    const std::scoped_lock lock(mutex_);
    next_ = std::make_unique<link>(wanted_, stop_);
  }

  void renew() {
    if (!next_) return;
    if (current_->connection.is_open() &&
        !next_->connection.open(base::clock::now() + timing_.connect_timeout)) {
      return;
    }
    current_ = std::move(next_);
  }

  bool poll() {
    renew();
    redis_connection& connection = current_->connection;
    std::optional<std::string_view> text;
    const base::time_point begun = base::clock::now();
    set_asked(begun);
    if (connection.is_open() || connection.open(begun + timing_.connect_timeout)) text = ask();
    if (!text) {
      if (stop_.raised()) {
        set_asked({});
      } else {
        judge(connection.timed_out() ? bus_state::silent : bus_state::up, begun);
        note_failure(connection.error());
      }
      return false;
    }
    redis_info info = parse_info(*text);
    if (!info.recognised()) {
      connection.close();
      judge(bus_state::up, begun);
      note_failure("INFO: the answer is not Redis's");
      return false;
    }
    // If the Redis of a bus is no master any more, the bus's name may by now lead to another Redis.
    const bool replica = !info.role.empty() && info.role != "master";
    if (timing_.doubt) timing_.doubt(index_, info.is_doubtful());
    note_answer(std::move(info), base::clock::now());
    if (leaving_.load(std::memory_order_relaxed) || replica) connection.close();
    return true;
  }

  std::optional<std::string_view> ask() {
    redis_connection& connection = current_->connection;
    const auto reply = connection.ask({"INFO", "all"}, base::clock::now() + timing_.reply_timeout,
                                      redis_connection::scalars);
    if (!reply) {
      connection.fail("INFO: " + connection.error());
      return {};
    }
    const resp::reply_value value = resp::reply_reader(*reply).next();
    if (value.is_error()) {
      connection.fail("INFO: " + std::string(value.text));
      return {};
    }
    return value.text;
  }

  void set_asked(std::optional<base::time_point> when) {
    const std::scoped_lock lock(mutex_);
    asked_ = when;
  }

  // A verdict that stays the same began when it was first given. Nothing but a missing answer shows that a
  // Redis hangs: whether it can be reached and takes the login, the workers know better.
  void judge(bus_state state, base::time_point now) {
    const std::scoped_lock lock(mutex_);
    if (status_.verdict.state != state) status_.verdict = {state, now};
  }

  static bus_state verdict_of(const redis_info& info) {
    if (!info.role.empty() && info.role != "master") return bus_state::replica;
    return info.loading.value_or(0) > 0 ? bus_state::loading : bus_state::up;
  }

  void note_failure(const std::string& reason) {
    // Logs one line when the bus goes away, not one per attempt.
    if (!reported_down_) {
      base::warn_limited(name_, "bus {} ({}): {}", name_, current_->bus.endpoint, base::in_log(reason, 200));
    }
    reported_down_ = true;
    const std::scoped_lock lock(mutex_);
    asked_.reset();
    status_.up = false;
    status_.error = printable_name(reason);
    status_.cpu_ratio.reset();
    ++status_.failures;
  }

  void note_answer(redis_info info, base::time_point now) {
    judge(verdict_of(info), now);
    if (reported_down_ || !reported_up_) {
      base::info_limited(name_, "bus {} ({}): {} answers INFO", name_, current_->bus.endpoint,
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

  // True if the answer comes from another process than the last one.
  bool take(redis_info info, base::time_point now) {
    const std::scoped_lock lock(mutex_);
    asked_.reset();
    const bool other = !status_.info || status_.info->run_id != info.run_id;
    status_.cpu_ratio = cpu_ratio(info, now);
    status_.up = true;
    status_.error.clear();
    status_.info = std::move(info);
    ++status_.polls;
    answered_ = now;
    return other;
  }

  // Empty for the first answer, and for the first one after a restart, whose CPU time began at zero again.
  std::optional<double> cpu_ratio(const redis_info& info, base::time_point now) const {
    if (!status_.info || status_.info->run_id != info.run_id) return {};
    if (!info.cpu_sys || !info.cpu_user || !status_.info->cpu_sys || !status_.info->cpu_user) return {};
    const double used = *info.cpu_sys + *info.cpu_user - *status_.info->cpu_sys - *status_.info->cpu_user;
    const double elapsed = std::chrono::duration<double>(now - answered_).count();
    if (used < 0 || elapsed <= 0) return {};
    return used / elapsed;
  }

  const std::size_t index_;
  const std::string name_;
  const settings& timing_;
  const stop_signal& stop_;
  base::unique_fd changed_;      // readable: there is another place or login
  config::bus_settings wanted_;  // guarded: the last one
  std::atomic<bool> leaving_;
  std::unique_ptr<link> current_;  // used by the thread only, like the five below
  std::unique_ptr<link> next_;     // for another place or login, until Redis accepts it
  base::time_point answered_{};    // when status_.info arrived
  bool reported_up_ = false, reported_down_ = false;
  std::string reported_policy_;  // the evicting policy last warned of
  mutable std::mutex mutex_;
  bus_status status_;                      // guarded; only the thread writes
  std::optional<base::time_point> asked_;  // guarded: when the poll that is under way began
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
        i, i < names.size() ? std::move(names[i]) : std::to_string(i), std::move(buses[i]),
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

void info_poller::set_buses(const std::vector<config::bus_settings>& buses,
                            const std::vector<bool>& leaving) {
  for (std::size_t i = 0; i < state_->buses.size() && i < buses.size(); ++i)
    state_->buses[i]->set_bus(buses[i], i < leaving.size() && leaving[i]);
}

std::vector<bus_status> info_poller::status() const {
  std::vector<bus_status> result;
  result.reserve(state_->buses.size());
  for (const auto& bus : state_->buses) result.push_back(bus->status());
  return result;
}

}  // namespace dualbus::admin
