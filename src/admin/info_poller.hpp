#pragma once

#include "info_parser.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/bus_state.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::admin {

/// Whether a bus does its job as far as INFO shows it: sooner than the workers notice who have nothing to
/// ask.
struct info_verdict {
  /// `silent`, `replica` or `loading`; `up` if INFO shows nothing against it, or nobody knows.
  metrics::bus_state state = metrics::bus_state::up;
  base::time_point since{};  ///< unless it is up
};

/// Everything that the poller knows about one bus's Redis.
struct bus_status {
  bool up = false;                 ///< the last INFO was answered, and the present one is not overdue
  std::string error;               ///< the reason, if it is not up
  std::optional<redis_info> info;  ///< the last answer, even if it is not up any more
  std::optional<double>
      cpu_ratio;  ///< CPU seconds per second between the last two answers of one Redis process
  std::uint64_t polls = 0, failures = 0;  ///< answers so far, and attempts without one
  info_verdict verdict;
};

/// Asks every bus's Redis for INFO at a fixed interval over a connection that it keeps. Each bus has a thread
/// of its own, so that a Redis that hangs delays no other; all threads stop within milliseconds.
class info_poller {
 public:
  struct settings {
    std::chrono::milliseconds interval{1000};
    /// An INFO that is not answered for so long shows that the Redis hangs. Together with `interval` it is
    /// less than two seconds: so soon is a hung Redis noticed.
    std::chrono::milliseconds patience{800};
    std::chrono::milliseconds connect_timeout{1000};  ///< AUTH included
    /// A connection without an answer is given up after this: a slow command in Redis is not its end.
    std::chrono::milliseconds reply_timeout{2000};
    std::chrono::milliseconds backoff_min{50}, backoff_max{2000};
    /// Called on a thread of the poller when a bus has answered as another Redis process than before.
    std::function<void()> on_other_redis = {};
    /// Called after each answer: `doubtful` if the bus seems not to do its job. On the poller's threads.
    std::function<void(std::size_t bus, bool doubtful)> doubt = {};
  };

  /// All are by bus: `names` for the log; `leaving` for buses that keep no connection between two answers.
  /// Throws std::system_error if there is no descriptor left.
  info_poller(std::vector<std::string> names, std::vector<config::bus_settings> buses,
              const std::vector<bool>& leaving, settings timing);
  ~info_poller();  ///< stops
  info_poller(const info_poller&) = delete;
  info_poller& operator=(const info_poller&) = delete;

  void start();  ///< once
  void stop();   ///< any number of times; the last answers stay

  /// Sets place and login of each bus from now on, and which are leaving; a bus with another place or login
  /// is connected anew. From any thread.
  void set_buses(const std::vector<config::bus_settings>& buses, const std::vector<bool>& leaving);

  /// By bus. From any thread.
  std::vector<bus_status> status() const;

 private:
  class bus_poller;
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace dualbus::admin
