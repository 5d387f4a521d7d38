#include <dualbus/client/refusal_counts.hpp>

namespace dualbus::client {

void refusal_counts::add(std::string_view error) {
  const std::string_view code = error.substr(0, error.find(' '));
  const auto found = counts_.find(code);
  if (found != counts_.end()) {
    ++found->second;
  } else {
    counts_.emplace(code, 1);
  }
}

void refusal_counts::add(const refusal_counts& other) {
  for (const auto& [code, count] : other.counts_) counts_[code] += count;
}

void refusal_counts::subtract(const refusal_counts& other) {
  for (const auto& [code, count] : other.counts_) {
    if (const auto found = counts_.find(code); found != counts_.end() && (found->second -= count) == 0)
      counts_.erase(found);
  }
}

}  // namespace dualbus::client
