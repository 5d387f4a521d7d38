#include <dualbus/base/numbers.hpp>
#include <dualbus/operation/bus_info.hpp>

#include <algorithm>

namespace dualbus::operation {

std::string_view bus_info::take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find("\r\n"));
  text.remove_prefix(std::min(text.size(), line.size() + 2));
  return line;
}

std::string_view bus_info::section(std::string_view name) const {
  std::string wanted(name);
  for (char& c : wanted) c = base::to_lower(c);
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (!line.starts_with("# ") || !base::equals_ignoring_case(line.substr(2), wanted)) continue;
    if (rest.starts_with("\r\n")) return {};
    const std::size_t end = rest.find("\r\n\r\n");  // an empty line separates sections
    return end == std::string_view::npos ? rest : rest.substr(0, end + 2);
  }
  return {};
}

std::string_view bus_info::field(std::string_view name) const {
  std::string_view found;
  for_each(text_, [&](std::string_view field, std::string_view value) {
    if (field == name && found.empty()) found = value;
  });
  return found;
}

std::string_view bus_info::take_part(std::string_view& fields) {
  const std::string_view part = fields.substr(0, fields.find(','));
  fields.remove_prefix(std::min(fields.size(), part.size() + 1));
  return part;
}

std::uint64_t bus_info::number(std::string_view fields, std::string_view name) {
  std::uint64_t found = 0;
  for_each_part(fields, [&](std::string_view part, std::uint64_t value) {
    if (part == name) found = value;
  });
  return found;
}

}  // namespace dualbus::operation
