#pragma once

#include "drain_verdict.hpp"

#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::admin {

/// Everything that is known about one draining bus. Times are Unix time in seconds, 0 for never.
struct drain_status {
  command::bus_index bus = 0;
  /// The report of the last complete check; it stays, with its time, while the bus does not answer. Null
  /// before the first check.
  std::shared_ptr<const drain_report> report;
  double checked_at = 0;
  std::chrono::milliseconds check_duration{0};
  double drained_since = 0;  ///< the first of an unbroken row of checks that found it drained
  /// The reasons why the last check was not complete, or, for active buses, not complete in full; by bus.
  std::map<command::bus_index, std::string> errors;
  std::uint64_t checks = 0;         ///< complete ones
  std::uint64_t failures = 0;       ///< checks in which some bus did not answer
  std::uint64_t healed_groups = 0;  ///< created on active buses, once per bus

  /// True if the bus answered the last check.
  bool known() const { return report && !errors.contains(bus); }
  drain_verdict verdict() const { return known() ? report->verdict() : drain_verdict::unknown; }
  /// True if nobody need watch the bus: nothing is left to be delivered, nothing belongs there, and an entry
  /// that is added nevertheless is soon found.
  bool may_rest() const;
};

/// Checks the streams of every draining bus again and again (see drain_verdict.hpp), on a thread and over
/// connections of its own, one per bus, which last as long as a check. A check also creates groups that a
/// draining bus has and an active one lacks. Without a draining bus the thread sleeps.
class drain_monitor {
 public:
  struct settings {
    std::chrono::milliseconds reply_timeout{5000};
    std::size_t commands_per_second = 2000;
    /// Called after each check, on the monitor's thread, with the buses that may rest; see
    /// drain_status::may_rest().
    std::function<void(std::uint32_t)> rest = {};
  };

  /// Throws std::system_error if there is no descriptor left.
  drain_monitor(std::shared_ptr<const config::configuration> configuration, settings timing);
  ~drain_monitor();  ///< stops
  drain_monitor(const drain_monitor&) = delete;
  drain_monitor& operator=(const drain_monitor&) = delete;

  void start();  ///< once
  void stop();   ///< within milliseconds, any number of times; the findings stay

  /// Sets the rules for keys, the rule when a stream counts as drained, and the logins of buses; the next
  /// check begins at once. From any thread.
  void set_configuration(std::shared_ptr<const config::configuration> configuration);

  /// One per draining bus, in their order. From any thread.
  std::vector<drain_status> status() const;

 private:
  class worker;
  std::unique_ptr<worker> worker_;
};

}  // namespace dualbus::admin
