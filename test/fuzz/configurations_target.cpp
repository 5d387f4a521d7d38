#include "targets.hpp"

#include <dualbus/config/loader.hpp>

#include <algorithm>
#include <string>

namespace dualbus::fuzz {
namespace {

constexpr std::string_view name = "f.yaml";
constexpr std::size_t longest_line = 4000;  // as the log has room for

std::string_view number_at(std::string_view& text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view number = text.substr(0, digits);
  text.remove_prefix(digits);
  return number;
}

// file:line:column: key: text; a mistake of the whole file has no place.
void check_line(std::string_view line) {
  check(line.starts_with(name) && line.size() > name.size() + 2, "a finding names the file");
  check(line.size() <= longest_line, "a finding is short");
  check(line.find_first_of("\r\n") == std::string_view::npos && line.find('\x1b') == std::string_view::npos,
        "a finding is one line");
  line.remove_prefix(name.size());
  const bool of_the_file = line.starts_with(": is larger than ") || line.starts_with(": and ");
  if (of_the_file) return;
  check(line.starts_with(':'), "a finding names its place");
  line.remove_prefix(1);
  const std::string_view row = number_at(line);
  check(!row.empty() && row != "0" && line.starts_with(':'), "a finding names its line");
  line.remove_prefix(1);
  const std::string_view column = number_at(line);
  check(!column.empty() && column != "0" && line.starts_with(": ") && line.size() > 2,
        "a finding names its column");
}

}  // namespace

void configurations(std::string_view bytes) {
  const config::load_result result = config::parse(bytes, std::string(name));
  check((result.value == nullptr) == !result.mistakes.empty(), "there is a configuration, or a mistake");
  check(result.mistakes.size() <= config::max_mistakes + 1, "mistakes are limited");
  check(result.warnings.size() <= config::max_mistakes, "warnings are limited");
  for (const std::string& line : result.mistakes) check_line(line);
  for (const std::string& line : result.warnings) check_line(line);
}

}  // namespace dualbus::fuzz
