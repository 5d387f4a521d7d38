#pragma once

#include <string>
#include <string_view>

#include <spdlog/common.h>

namespace dualbus::base {

/// One line of the log.
struct log_line {
  std::string_view time;  ///< RFC 3339
  spdlog::level::level_enum level = spdlog::level::info;
  std::string_view event;    ///< as event_of() makes it
  std::string_view subject;  ///< of the line's limit, such as the name of a bus; may be empty
  std::string_view text;     ///< printable UTF-8
};

/// As a JSON object, with its line break.
std::string json_line(const log_line& line);

/// The name of a kind of event, made from the first words of its format, or of its text when that is all
/// there is: what differs from line to line, such as names in quotes and numbers, is left out. "bus '{}' is
/// up: {}" is `bus_is_up`.
std::string event_of(std::string_view text);
inline constexpr std::string_view no_event = "other";  ///< of a text that has no words

/// What systemd takes off the front of a line for its priority: sd-daemon(3).
std::string_view journal_priority(spdlog::level::level_enum level);

/// True if the descriptor is the stream to the journal that JOURNAL_STREAM, here `variable`, names.
bool is_journal(int fd, const char* variable);

}  // namespace dualbus::base
