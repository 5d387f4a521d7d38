#pragma once

#include <dualbus/config/configuration.hpp>

#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

class stop_signal;

/// Looks, before a reload, whether a master answers wherever the reload would move a bus to, and takes the
/// bus's password.
class place_check {
 public:
  struct findings {
    bool moves = false;                 ///< some bus changes its place, or is new
    std::vector<std::string> mistakes;  ///< the reload must not move the bus there
    std::vector<std::string> warnings;  ///< a Redis that does not take a new password yet
  };

  /// Throws std::system_error if there is no descriptor left.
  place_check();
  ~place_check();

  /// Waits for each such bus, no longer than backend.connect_timeout each. Buses are compared by name.
  findings run(const config::configuration& running, const config::configuration& loaded) const;
  /// Ends run(), whose findings are incomplete then. From any thread.
  void stop();

 private:
  std::unique_ptr<stop_signal> stop_;
};

}  // namespace dualbus::admin
