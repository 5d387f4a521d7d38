#pragma once

#include <dualbus/base/log.hpp>
#include <dualbus/base/log_output.hpp>
#include <dualbus/config/configuration.hpp>

namespace dualbus::app {

inline base::log_output log_output_of(const config::configuration& wanted) {
  return {.json = wanted.log_format == "json", .file = wanted.log_file};
}

/// From now on the log is as the configuration says.
inline void apply_log_settings(const config::configuration& wanted) {
  base::set_log_level(wanted.log_level);
  base::set_log_output(log_output_of(wanted));
}

}  // namespace dualbus::app
