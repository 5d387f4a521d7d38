#pragma once

#include <dualbus/config/configuration.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

class stop_signal;

/// The effect of a change of the rules for keys on stored data. The lines are for the log and name keys and
/// buses; of many streams only the first are named.
struct move_report {
  std::vector<std::string> streams;  ///< losses of readers of streams, one line for each stream and bus
  std::uint64_t more_streams = 0;    ///< streams that are not named
  std::vector<std::string> others;  ///< keys that are no streams and get out of reach, one line for each bus;
                                    ///< groups that readers will not find
  std::vector<std::string> unchecked;  ///< buses that could not be asked, and why
};

/// Looks on every bus, before a reload, for data that the reload would take from clients:
///
///   rules before, rules after --> keys that belong elsewhere then --> XINFO STREAM: entries, groups, pending
///
/// A stream whose bus is out of sight then is reported if it has entries or groups with pending ones; a
/// stream that stays in sight, but gets or loses the IDs of several buses, is reported if entries are
/// pending: their consumers could not acknowledge them. Nothing is changed. It takes the time of a SCAN of
/// each bus, and none if the rules are the same. It may miss entries that are added while it runs.
class move_check {
 public:
  /// Throws std::system_error if there is no descriptor left.
  move_check();
  ~move_check();

  /// Waits for the buses, one at a time; a bus that hangs takes some seconds.
  move_report run(const config::configuration& running, const config::configuration& loaded) const;
  /// Ends run(), whose report is incomplete then. From any thread.
  void stop();
  bool stopped() const;

 private:
  std::unique_ptr<stop_signal> stop_;
};

}  // namespace dualbus::admin
