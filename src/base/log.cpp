#include "log_throttle.hpp"
#include "log_writer.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/printable.hpp>

#include <memory>
#include <mutex>
#include <unistd.h>
#include <utility>

#include <spdlog/sinks/base_sink.h>

namespace dualbus::base {
namespace {

constexpr std::size_t longest_line = 4000;  // goes into a pipe in one piece

struct throttle {
  std::mutex mutex;
  log_throttle lines;
};

// Neither the throttle nor the writer is ever destroyed: other threads, above all the writer's own, may use
// them until the process is gone.
throttle& the_throttle() {
  static auto* const one = new throttle;
  return *one;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void release_held_lines(bool all) {
  std::vector<log_throttle::line> lines;
  {
    const std::lock_guard lock(the_throttle().mutex);
    lines = the_throttle().lines.release(clock::now(), all);
  }
  for (const auto& line : lines) {
    spdlog::log(static_cast<spdlog::level::level_enum>(line.level), fmt::string_view("{}"), line.text);
  }
}

log_writer& the_writer() {
  static auto* const one = new log_writer(STDERR_FILENO, [] { release_held_lines(false); });
  return *one;
}

class escaping_sink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::details::log_msg clean = message;
    std::string escaped;
    const std::string_view text(message.payload.data(), message.payload.size());
    if (text.size() > longest_line || !is_printable(text)) {
      append_printable(escaped, text.substr(0, longest_line), {});
      clean.payload = escaped;
    }
    spdlog::memory_buf_t line;
    formatter_->format(clean, line);
    the_writer().write({line.data(), line.size()});
  }
  void flush_() override {}
};

}  // namespace

void init_log(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("dualbusd", std::make_shared<escaping_sink>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_default_logger(std::move(logger));
  set_log_level(level);
}

void set_log_level(const std::string& level) {
  spdlog::set_level(spdlog::level::from_str(level));
}

void flush_log(duration longest) {
  release_held_lines(true);
  the_writer().flush(longest);
}

log_losses lost_log_lines() {
  const std::uint64_t unwritten = the_writer().lost();
  const std::lock_guard lock(the_throttle().mutex);
  return {unwritten, the_throttle().lines.left_out()};
}

std::size_t waiting_log_lines() {
  return the_writer().waiting();
}

std::string in_log(std::string_view words, std::size_t longest) {
  const std::string_view shown = words.substr(0, longest);
  std::string out;
  std::size_t from = 0;
  for (std::size_t at; (at = shown.find('\'', from)) != std::string_view::npos; from = at + 1) {
    append_printable(out, shown.substr(from, at - from), R"(\)");
    const bool within_word =
        at > 0 && is_letter(shown[at - 1]) && at + 1 < shown.size() && is_letter(shown[at + 1]);
    out += within_word ? "'" : "\\'";
  }
  append_printable(out, shown.substr(from), R"(\)");
  return words.size() > longest ? out + "..." : out;
}

void log_limited(spdlog::level::level_enum level, const void* call, const log_subject& subject,
                 std::string line) {
  if (!spdlog::default_logger_raw()->should_log(level)) return;
  log_throttle::line kept{level, std::move(line)};
  {
    const std::lock_guard lock(the_throttle().mutex);
    if (!the_throttle().lines.admit(call, subject.text, subject.burst, kept, clock::now())) return;
  }
  spdlog::log(level, fmt::string_view("{}"), kept.text);
}

}  // namespace dualbus::base
