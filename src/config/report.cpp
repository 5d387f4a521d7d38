#include "report.hpp"

#include "values.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace dualbus::config {
namespace {

template <typename Findings>
std::vector<std::string> in_file_order(Findings findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const auto& a, const auto& b) {
    return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
  });
  std::vector<std::string> lines;
  lines.reserve(findings.size() + 1);
  for (auto& found : findings) lines.push_back(std::move(found.line));
  return lines;
}

}  // namespace

report::report(std::string name, std::size_t max_mistakes)
    : name_(std::move(name)), max_mistakes_(max_mistakes) {}

std::string report::format(position at, std::string_view path, std::string_view text) const {
  std::string line = name_;
  if (at.line > 0) line += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  line += ": ";
  if (!path.empty()) line.append(printable(path, 200)).append(": ");
  return line.append(text);
}

void report::mistake(position at, std::string_view path, std::string_view text) {
  if (mistakes_.size() >= max_mistakes_) {
    ++dropped_;
    return;
  }
  mistakes_.push_back({at, format(at, path, text)});
}

void report::warning(position at, std::string_view path, std::string_view text) {
  if (warnings_.size() < max_mistakes_) warnings_.push_back({at, format(at, path, text)});
}

std::vector<std::string> report::mistakes() const {
  std::vector<std::string> lines = in_file_order(mistakes_);
  if (dropped_ > 0) lines.push_back(name_ + ": and " + std::to_string(dropped_) + " more mistakes");
  return lines;
}

std::vector<std::string> report::warnings() const {
  return in_file_order(warnings_);
}

}  // namespace dualbus::config
