#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace dualbus::client {

/// Counts the daemon's refusals by the error's code. The codes are the daemon's own words, so there are few.
class refusal_counts {
 public:
  /// `error`: the error's text, which begins with the code.
  void add(std::string_view error);
  void add(const refusal_counts& other);
  void subtract(const refusal_counts& other);
  const std::map<std::string, std::uint64_t, std::less<>>& by_code() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace dualbus::client
