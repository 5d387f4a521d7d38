#include "yaml_mistakes.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace dualbus::config {
namespace {

std::vector<std::string_view> lines_until(std::string_view file, int last) {
  std::vector<std::string_view> lines;
  while (!file.empty() && static_cast<int>(lines.size()) < last) {
    const std::size_t end = std::min(file.find('\n'), file.size());
    lines.push_back(file.substr(0, end));
    file.remove_prefix(std::min(end + 1, file.size()));
  }
  return lines;
}

// The parser takes `*name` for a reference to what was marked with `&name`.
std::optional<yaml_mistake> unquoted_star(std::string_view line, position at, std::string_view parser_says) {
  if (parser_says != "alias not found after *" && parser_says != "the referenced anchor is not defined")
    return std::nullopt;
  const std::size_t star = line.rfind('*', static_cast<std::size_t>(std::max(at.column - 1, 0)));
  if (star == std::string_view::npos) return std::nullopt;
  // The text itself is not repeated: it may be a password.
  return yaml_mistake{{at.line, static_cast<int>(star) + 1},
                      "a text that begins with * is an alias to YAML: write it in quotes, as in \"*_risk\""};
}

// The parser often stumbles only over the line behind it.
std::optional<yaml_mistake> tab_in_indentation(const std::vector<std::string_view>& lines,
                                               std::string_view parser_says) {
  if (parser_says.find("flow") != std::string_view::npos)
    return std::nullopt;  // tabs may stand between brackets
  int with_text = 0;
  for (std::size_t i = lines.size(); i-- > 0 && with_text < 2;) {
    const std::size_t text = std::min(lines[i].find_first_not_of(" \t\r"), lines[i].size());
    if (text == lines[i].size() && i + 1 < lines.size()) continue;
    ++with_text;
    const std::size_t tab = lines[i].substr(0, text).find('\t');
    if (tab == std::string_view::npos) continue;
    return yaml_mistake{{static_cast<int>(i) + 1, static_cast<int>(tab) + 1},
                        "a tab stands in the indentation, where YAML takes only spaces: replace it with "
                        "spaces (the parser: " +
                            std::string(parser_says) + ")"};
  }
  return std::nullopt;
}

}  // namespace

yaml_mistake explain_mistake(std::string_view file, position at, std::string_view parser_says) {
  const std::vector<std::string_view> lines = lines_until(file, at.line);
  std::optional<yaml_mistake> known;
  if (!lines.empty() && static_cast<int>(lines.size()) == at.line)
    known = unquoted_star(lines.back(), at, parser_says);
  if (!known) known = tab_in_indentation(lines, parser_says);
  return known ? *known : yaml_mistake{at, "YAML syntax: " + std::string(parser_says)};
}

}  // namespace dualbus::config
