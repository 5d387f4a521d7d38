#include "log_format.hpp"
#include "log_throttle.hpp"
#include "log_writer.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/log_output.hpp>
#include <dualbus/base/printable.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <unistd.h>
#include <utility>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

namespace dualbus::base {
namespace {

constexpr std::size_t longest_line = 4000;  // goes into a pipe in one piece
constexpr const char* time_pattern = "%Y-%m-%dT%H:%M:%S.%e%z";

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

// What a line is about, besides its text. Of this thread, since spdlog passes no more than the text on.
struct line_facts {
  std::string_view event, subject;
};
thread_local line_facts the_facts;

void write_line(spdlog::level::level_enum level, const line_facts& facts, std::string_view text) {
  the_facts = facts;
  spdlog::log(level, fmt::string_view("{}"), text);
  the_facts = {};
}

void release_held_lines(bool all) {
  std::vector<log_throttle::line> lines;
  {
    const std::lock_guard lock(the_throttle().mutex);
    lines = the_throttle().lines.release(clock::now(), all);
  }
  for (const auto& line : lines)
    write_line(static_cast<spdlog::level::level_enum>(line.level), {line.event, line.subject}, line.text);
}

std::atomic<bool> as_json{false};

// A line of the log's own, which must not go through the log: it is about to be written.
std::string own_line(spdlog::level::level_enum level, std::string_view event, const std::string& text) {
  spdlog::pattern_formatter time(time_pattern, spdlog::pattern_time_type::local, "");
  spdlog::memory_buf_t stamp;
  time.format(spdlog::details::log_msg({}, level, {}), stamp);
  const std::string_view now(stamp.data(), stamp.size());
  if (as_json) return json_line({now, level, event, {}, text});
  return std::string(now) + " " + spdlog::level::to_string_view(level).data() + " " + text + "\n";
}

std::string about_losses(std::uint64_t count, std::string_view where) {
  return own_line(
      spdlog::level::warn, "lines_lost",
      std::to_string(count) + " lines of the log are lost: " + std::string(where) + " did not take them");
}

log_writer& the_writer() {
  static auto* const one = new log_writer(
      STDERR_FILENO, {.idle = [] { release_held_lines(false); },
                      .about_losses = [](auto count) { return about_losses(count, "standard error"); },
                      .cannot_open = {}});
  return *one;
}

// The file beside standard error. Its writer is made with the first file, and stays.
struct log_file {
  std::mutex mutex;
  std::string path;  // empty: none
  std::atomic<log_writer*> writer{nullptr};

  void follow() {  // the mutex is held
    if (writer == nullptr && path.empty()) return;
    if (writer == nullptr)
      writer = new log_writer(-1, {.idle = {},
                                   .about_losses = [](auto count) { return about_losses(count, "the file"); },
                                   .cannot_open = [this](const std::string& why) { complain(why); }});
    writer.load()->open(path);
  }
  void complain(const std::string& why) {
    std::unique_lock lock(mutex);
    const std::string name = in_log(path, longest_line);
    lock.unlock();
    log_event(spdlog::level::err, "log_file_not_opened", "log.file '" + name + "' cannot be opened: " + why);
  }
};

log_file& the_file() {
  static auto* const one = new log_file;
  return *one;
}

class escaping_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit escaping_sink(bool to_journal) : to_journal_(to_journal) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string escaped;
    std::string_view text(message.payload.data(), message.payload.size());
    if (text.size() > longest_line || !is_printable(text)) {
      append_printable(escaped, text.substr(0, longest_line), {});
      text = escaped;
    }
    spdlog::memory_buf_t written;
    std::string line(to_journal_ ? journal_priority(message.level) : std::string_view());
    const std::size_t prefix = line.size();
    if (as_json) {
      time_.format(message, written);
      const std::string event = the_facts.event.empty() ? event_of(text) : std::string(the_facts.event);
      line += json_line({{written.data(), written.size()}, message.level, event, the_facts.subject, text});
    } else {
      spdlog::details::log_msg clean = message;
      clean.payload = spdlog::string_view_t(text.data(), text.size());
      formatter_->format(clean, written);
      line.append(written.data(), written.size());
    }
    the_writer().write(line);
    if (log_writer* const file = the_file().writer) file->write(std::string_view(line).substr(prefix));
  }
  void flush_() override {}

 private:
  const bool to_journal_;
  spdlog::pattern_formatter time_{time_pattern, spdlog::pattern_time_type::local, ""};
};

}  // namespace

void init_log(const std::string& level) {
  const bool to_journal = is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  auto logger = std::make_shared<spdlog::logger>("dualbusd", std::make_shared<escaping_sink>(to_journal));
  logger->set_pattern(std::string(time_pattern) + " %l %v");
  spdlog::set_default_logger(std::move(logger));
  set_log_level(level);
}

void set_log_level(const std::string& level) {
  spdlog::set_level(spdlog::level::from_str(level));
}

void set_log_output(const log_output& wanted) {
  as_json = wanted.json;
  const std::lock_guard lock(the_file().mutex);
  if (the_file().path == wanted.file) return;
  the_file().path = wanted.file;
  the_file().follow();
}

void reopen_log_file() {
  const std::lock_guard lock(the_file().mutex);
  the_file().follow();
}

void log_event(spdlog::level::level_enum level, std::string_view event, std::string_view text) {
  write_line(level, {event, {}}, text);
}

void flush_log(duration longest) {
  release_held_lines(true);
  const time_point until = clock::now() + longest;
  the_writer().flush(longest);
  if (log_writer* const file = the_file().writer) file->flush(std::max(until - clock::now(), duration{}));
}

log_losses lost_log_lines() {
  const log_writer* const file = the_file().writer;
  const std::uint64_t unwritten = the_writer().lost() + (file == nullptr ? 0 : file->lost());
  const std::lock_guard lock(the_throttle().mutex);
  return {unwritten, the_throttle().lines.left_out()};
}

std::size_t waiting_log_lines() {
  const log_writer* const file = the_file().writer;
  return the_writer().waiting() + (file == nullptr ? 0 : file->waiting());
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

void log_limited(spdlog::level::level_enum level, const char* call, const log_subject& subject,
                 std::string line) {
  if (!spdlog::default_logger_raw()->should_log(level)) return;
  log_throttle::line kept{level, std::move(line), as_json ? event_of(call) : std::string(),
                          std::string(subject.text)};
  if (kept.event == no_event) kept.event.clear();
  {
    const std::lock_guard lock(the_throttle().mutex);
    if (!the_throttle().lines.admit(call, subject.text, subject.burst, kept, clock::now())) return;
  }
  write_line(level, {kept.event, kept.subject}, kept.text);
}

}  // namespace dualbus::base
