#pragma once

#include <dualbus/base/clock.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

// The log: one line per event, on standard error, so that journald and containers collect it, and if wanted
// in a file (log_output.hpp).
//
//   spdlog::info(…)        ─────────────────────────────┐
//                                                       ├─> sink: escapes ──> queue ──> own thread ──> stderr
//   warn_limited(bus, …) ──> throttle ── passed ────────┘         └─────────> queue ──> own thread ──> file
//                               │                                    (bounded, never waits)
//                               └─ held: counted, and said later: "(and 4812 more like it)"
//
// Logging never waits for standard error: lines that standard error does not take are counted, and the log
// tells their number once it takes lines again. A line whose cause is a client or a bus goes through a
// function that ends in _limited; only what the operator causes, such as start and reload, uses spdlog
// directly. Names and words of peers go through in_log(); the sink escapes control characters as well, so
// that nobody can forge a line.
namespace dualbus::base {

/// Sends the default spdlog logger to standard error. Levels: trace, debug, info, warning, error, off.
void init_log(const std::string& level);
void set_log_level(const std::string& level);
/// To be called before the process ends: writes what the limits still hold back, and waits until everything
/// is written, but not longer than `longest`.
void flush_log(duration longest);

/// Lines of this process that are missing in the log.
struct log_losses {
  std::uint64_t unwritten = 0;  ///< standard error, or the file, did not take them
  std::uint64_t limited = 0;    ///< left out by a limit, and counted in another line
};
log_losses lost_log_lines();
/// Lines that standard error and the file have yet to take.
std::size_t waiting_log_lines();

/// A peer's words as the log shows them between quotes: unprintable characters, `\` and each `'` that is not
/// between two letters are escaped, and the text is cut behind `longest` bytes.
std::string in_log(std::string_view words, std::size_t longest = 100);

/// The subject of a limit: lines of one call with one `text` are limited together. Texts must be few: the
/// name of a bus, perhaps with the reason, but never a client's words.
struct log_subject {
  log_subject(std::string_view t = {}, unsigned b = 5) : text(t), burst(b) {}  // NOLINT: strings are subjects
  log_subject(const std::string& t) : text(t) {}                               // NOLINT
  log_subject(const char* t) : text(t) {}                                      // NOLINT
  std::string_view text;
  unsigned burst = 5;  ///< lines in a row before the limit begins; then there is one in ten seconds
};

/// For the functions below. `call` is a literal, whose address tells one call from another and whose words
/// name the kind of event.
void log_limited(spdlog::level::level_enum level, const char* call, const log_subject& subject,
                 std::string line);

template <typename... Args>
void info_limited(const log_subject& subject, spdlog::format_string_t<Args...> text, Args&&... args) {
  const fmt::string_view format = text;
  log_limited(spdlog::level::info, format.data(), subject, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void warn_limited(const log_subject& subject, spdlog::format_string_t<Args...> text, Args&&... args) {
  const fmt::string_view format = text;
  log_limited(spdlog::level::warn, format.data(), subject, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void error_limited(const log_subject& subject, spdlog::format_string_t<Args...> text, Args&&... args) {
  const fmt::string_view format = text;
  log_limited(spdlog::level::err, format.data(), subject, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace dualbus::base
