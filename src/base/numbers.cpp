#include <dualbus/base/numbers.hpp>

#include <algorithm>

namespace dualbus::base {
namespace {

// from_chars takes leading zeros; Redis does not, so that a number has one spelling.
bool has_redundant_zero(std::string_view digits) {
  return digits.size() > 1 && digits[0] == '0';
}

template <typename Integer>
std::optional<Integer> parse(std::string_view text) {
  Integer value{};
  const char* end = text.data() + text.size();
  const auto [ptr, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || ptr != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int64_t> parse_int64(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const bool negative = text[0] == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (has_redundant_zero(digits) || (negative && !digits.empty() && digits[0] == '0')) return std::nullopt;
  return parse<std::int64_t>(text);
}

std::optional<std::uint64_t> parse_uint64_as_c(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size()));
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto value = parse<std::uint64_t>(text);
  if (!value || !negative) return value;
  return 0 - *value;
}

std::optional<std::uint64_t> parse_uint64(std::string_view text) {
  if (text.empty() || text[0] == '-' || has_redundant_zero(text)) return std::nullopt;
  return parse<std::uint64_t>(text);
}

}  // namespace dualbus::base
