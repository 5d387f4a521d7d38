#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace dualbus::app {

/// Tells the service manager (systemd, `Type=notify`) the state of this process, if one listens: the
/// environment variable NOTIFY_SOCKET names its socket. The protocol of sd_notify(3): lines such as
/// `READY=1`. Errors are ignored, as there: a service must run without a manager, too.
void notify_service_manager(std::string_view state);

/// How often at least the service manager wants to hear `WATCHDOG=1` (WATCHDOG_USEC of
/// sd_watchdog_enabled(3)); 0 if it does not. Also for a process that has taken another one's place, and has
/// its environment.
std::chrono::microseconds watchdog_limit();

/// Starts the program anew to take this process's place: `dualbusd --config CONFIG --take-over SOCKET`. The
/// program is the file at the path from which this process was started, so one that was installed since then
/// is meant. Returns the new process's number. Throws std::system_error.
int start_successor(const std::string& program, const std::string& configuration,
                    const std::string& control_socket);

}  // namespace dualbus::app
