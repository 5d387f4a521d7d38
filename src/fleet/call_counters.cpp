#include "call_counters.hpp"

namespace dualbus::fleet {

void call_counters::fail(std::string_view error) {
  ++failed_;
  const std::string_view code = error.substr(0, error.find(' '));
  const auto found = by_code_.find(code);
  if (found != by_code_.end()) {
    ++found->second;
  } else {
    by_code_.emplace(code, 1);
  }
}

void call_counters::lose(std::uint64_t calls) {
  if (calls == 0) return;
  failed_ += calls;
  by_code_[std::string(connection_lost)] += calls;
}

double call_counters::availability() const {
  return calls_ == 0 ? 1.0 : 1.0 - static_cast<double>(failed_) / static_cast<double>(calls_);
}

std::uint64_t call_counters::by_code(std::string_view code) const {
  const auto found = by_code_.find(code);
  return found == by_code_.end() ? 0 : found->second;
}

}  // namespace dualbus::fleet
