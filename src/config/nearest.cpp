#include "nearest.hpp"

#include "values.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace dualbus::config {
namespace {

// Optimal string alignment: Levenshtein's distance in which swapping two neighbours counts as one.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t fewest = 0;
  for (const std::string_view candidate : candidates) {
    // A third of the letters wrong is still the same word; more would suggest at random.
    const std::size_t allowed = std::max<std::size_t>(1, candidate.size() / 3);
    const std::size_t lengths_differ =
        std::max(text.size(), candidate.size()) - std::min(text.size(), candidate.size());
    if (lengths_differ > allowed) continue;
    const std::size_t found = distance(text, candidate);
    if (found <= allowed && (best.empty() || found < fewest)) {
      best = candidate;
      fewest = found;
    }
  }
  return best;
}

std::string unknown_name(std::string_view kind, std::string_view text,
                         std::span<const std::string_view> candidates) {
  std::string message = "unknown " + std::string(kind) + " " + quoted(text);
  if (const std::string_view meant = nearest(text, candidates); !meant.empty()) {
    return message + ", did you mean " + quoted(meant) + "?";
  }
  if (candidates.empty()) return message;
  std::string known;  // names of buses come from the file, too
  for (const std::string_view candidate : candidates)
    known += (known.empty() ? "" : ", ") + printable(candidate, 80);
  return message + "; known here: " + known;
}

}  // namespace dualbus::config
