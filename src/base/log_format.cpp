#include "log_format.hpp"

#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <cstddef>
#include <sys/stat.h>
#include <unistd.h>

namespace dualbus::base {
namespace {

void append_text(std::string& out, std::string_view name, std::string_view text) {
  out.append(out.size() > 1 ? "," : "").append("\"").append(name).append("\":\"");
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;  // control characters are escaped already
  }
  out += '"';
}

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

// Takes the next word off the front, up to a space; one that begins with a quote ends with it.
std::string_view take_word(std::string_view& text) {
  std::size_t end = text.find(' ');
  if (text.front() == '\'') {
    // Within a quotation each `'` that is not between two letters is escaped: see in_log().
    for (std::size_t at = 1; (at = text.find('\'', at)) != std::string_view::npos; ++at) {
      if (text[at - 1] == '\\') continue;
      end = text.find(' ', at);
      break;
    }
  }
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(text.size(), end == std::string_view::npos ? end : end + 1));
  return word;
}

}  // namespace

std::string json_line(const log_line& line) {
  std::string out = "{";
  append_text(out, "time", line.time);
  const auto level = spdlog::level::to_string_view(line.level);
  append_text(out, "level", {level.data(), level.size()});
  append_text(out, "event", line.event);
  append_text(out, "message", line.text);
  if (!line.subject.empty()) append_text(out, "subject", line.subject);
  return out + ",\"pid\":" + std::to_string(::getpid()) + "}\n";
}

std::string event_of(std::string_view text) {
  constexpr std::size_t enough = 2, most = 6;  // words
  std::string event;
  std::size_t words = 0;
  const bool is_format =
      text.find('{') != std::string_view::npos;  // it is the same for all lines of its kind
  while (!text.empty() && words < most) {
    std::string_view word = take_word(text);
    if (word.empty()) continue;
    const bool ends_part = std::string_view(":,;.").find(word.back()) != std::string_view::npos;
    while (!word.empty() && std::string_view(":,;.").find(word.back()) != std::string_view::npos)
      word.remove_suffix(1);
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), is_word_character);
    if (plain) {
      if (!event.empty()) event += '_';
      for (const char c : word) event += c == '-' ? '_' : to_lower(c);
      ++words;
    }
    if (words >= enough && (ends_part || (!plain && !is_format))) break;
  }
  return event.empty() ? std::string(no_event) : event;
}

std::string_view journal_priority(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
      return "<2>";
    case spdlog::level::err:
      return "<3>";
    case spdlog::level::warn:
      return "<4>";
    case spdlog::level::info:
      return "<6>";
    default:
      return "<7>";
  }
}

bool is_journal(int fd, const char* variable) {
  if (variable == nullptr) return false;
  const std::string_view text(variable);
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto device = parse_int64(text.substr(0, colon)), inode = parse_int64(text.substr(colon + 1));
  struct stat status {};
  return device && inode && ::fstat(fd, &status) == 0 && status.st_dev == static_cast<dev_t>(*device) &&
         status.st_ino == static_cast<ino_t>(*inode);
}

}  // namespace dualbus::base
