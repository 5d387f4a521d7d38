#pragma once

#include <dualbus/config/configuration.hpp>

#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

class stop_signal;

/// Looks, before a reload that removes buses, whether each of them may be given up: it drains, nothing is
/// left there to be delivered or acknowledged (see drain_verdict.hpp), and no other bus can get its slot.
class retirement_check {
 public:
  /// Throws std::system_error if there is no descriptor left.
  retirement_check();
  ~retirement_check();

  /// The reasons why a bus must not be removed, as lines for the log. Takes `draining.quiet`, since a stream
  /// counts as drained when nothing was added for that time, and the time of some checks.
  std::vector<std::string> run(const config::configuration& running,
                               const config::configuration& loaded) const;
  /// Ends run(), whose findings are incomplete then. From any thread.
  void stop();

 private:
  std::unique_ptr<stop_signal> stop_;
};

}  // namespace dualbus::admin
