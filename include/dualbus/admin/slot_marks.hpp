#pragma once

#include <dualbus/config/configuration.hpp>

#include <string>
#include <vector>

namespace dualbus::admin {

struct slot_findings {
  std::vector<std::string> mistakes;  ///< buses that bear another slot than they are given
  std::vector<std::string> warnings;  ///< buses that could be neither looked at nor marked, and why
};

/// Looks for the mark of each bus (see config::slot_mark_name()), and makes it where there is none. Waits for the buses, for each no longer
/// than backend.connect_timeout and some seconds. Does nothing if the configuration wants no marks.
slot_findings check_slot_marks(const config::configuration& configuration);

}  // namespace dualbus::admin
