#pragma once

#include <string>
#include <string_view>

#include <spdlog/common.h>

// The form of the log and its places; what is logged is the matter of log.hpp.
namespace dualbus::base {

struct log_output {
  bool json = false;  ///< one JSON object a line
  std::string file;   ///< absolute path of a file that gets the same lines as standard error; empty: none
};

/// May be called again at any time, from any thread. Never waits for a file: the log's own threads open and
/// write it, and say on standard error when they cannot.
void set_log_output(const log_output& wanted);

/// Opens the file anew, if there is one: somebody may have renamed it.
void reopen_log_file();

/// A line whose text comes from elsewhere, so that it does not tell what kind of event this is: `event` does,
/// in words joined with `_`. Only for lines that the operator causes: there is no limit.
void log_event(spdlog::level::level_enum level, std::string_view event, std::string_view text);

}  // namespace dualbus::base
