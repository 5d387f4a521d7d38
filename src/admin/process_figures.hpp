#pragma once

#include <optional>

namespace dualbus::admin {

/// The daemon's own process, as the kernel sees it. A figure that cannot be read stays empty.
struct process_figures {
  std::optional<double> cpu_seconds, resident_bytes, open_fds, max_fds, start_unix_seconds;
};

process_figures read_process_figures();

}  // namespace dualbus::admin
