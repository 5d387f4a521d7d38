#pragma once

#include <dualbus/admin/info_parser.hpp>
#include <dualbus/base/clock.hpp>
#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::admin {

/// All that the poller knows about one bus's Redis.
struct bus_status {
  bool up = false;                 ///< the last INFO was answered
  std::string error;               ///< why not, when it is not up
  std::optional<redis_info> info;  ///< the last answer, also while it is not up any more
  std::optional<double>
      cpu_ratio;  ///< CPU seconds per second between the last two answers of one Redis process
  std::uint64_t polls = 0, failures = 0;  ///< answers so far, and attempts without one
};

/// Asks every bus's Redis for INFO at a fixed interval over a connection that it keeps. One thread per bus,
/// so that a Redis that hangs delays nobody else; all of them stop within milliseconds.
class info_poller {
 public:
  struct settings {
    std::chrono::milliseconds interval{1000};
    std::chrono::milliseconds connect_timeout{1000};  ///< with AUTH
    std::chrono::milliseconds reply_timeout{2000};  ///< one slow command in Redis shall not look like its end
    std::chrono::milliseconds backoff_min{50}, backoff_max{2000};
    /// Called on a thread of the poller when a bus has answered as another Redis process than before.
    std::function<void()> on_other_redis = {};
    /// Told after each answer whether it looks as if the bus did not do its job. On the poller's threads.
    std::function<void(std::size_t bus, bool doubtful)> doubt = {};
  };

  /// By bus: `names` for the log; `leaving`, to be left without a connection between two answers. Throws
  /// std::system_error if there is no descriptor left.
  info_poller(std::vector<std::string> names, std::vector<config::bus_settings> buses,
              const std::vector<bool>& leaving, settings timing);
  ~info_poller();  ///< stops
  info_poller(const info_poller&) = delete;
  info_poller& operator=(const info_poller&) = delete;

  void start();  ///< once
  void stop();   ///< any number of times; the last answers stay

  /// User and password of each bus from now on; a bus that has others connects anew. From any thread.
  void set_logins(const std::vector<config::bus_settings>& buses);

  /// By bus. From any thread.
  std::vector<bus_status> status() const;

 private:
  class bus_poller;
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace dualbus::admin
