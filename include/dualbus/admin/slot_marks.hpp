#pragma once

#include <dualbus/config/configuration.hpp>

#include <memory>
#include <string>
#include <vector>

namespace dualbus::admin {

class stop_signal;

struct slot_findings {
  std::vector<std::string> mistakes;  ///< buses that bear another slot than they are given
  std::vector<std::string> warnings;  ///< buses that could be neither looked at nor marked, and why
};

/// Checks whether buses bear the slots that the configuration gives them.
class slot_check {
 public:
  /// Throws std::system_error if there is no descriptor left.
  slot_check();
  ~slot_check();

  /// Looks for the mark of each bus (see config::slot_mark_name()), and makes it where there is none. Waits
  /// for each bus, but no longer than backend.connect_timeout and some seconds. Does nothing if the
  /// configuration wants no marks.
  slot_findings run(const config::configuration& configuration) const;
  /// Ends run(). From any thread.
  void stop();

 private:
  std::unique_ptr<stop_signal> stop_;
};

}  // namespace dualbus::admin
