#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>

#include <utility>

namespace dualbus::base {
namespace {

// Matches one character against the pattern element at `p` (not '*'); sets `p` behind the element.
bool match_one(std::string_view pattern, std::size_t& p, char c, bool ignore_case) {
  const auto fold = [ignore_case](char x) { return ignore_case ? to_lower(x) : x; };
  c = fold(c);
  if (pattern[p] == '?') {
    ++p;
    return true;
  }
  if (pattern[p] == '[') {
    ++p;
    const bool negated = p < pattern.size() && pattern[p] == '^';
    if (negated) ++p;
    bool found = false;
    // Redis takes an unclosed class as closed by the pattern's end.
    while (p < pattern.size() && pattern[p] != ']') {
      if (pattern[p] == '\\' && p + 1 < pattern.size()) {
        ++p;
        found |= fold(pattern[p]) == c;
      } else if (p + 2 < pattern.size() && pattern[p + 1] == '-') {
        // Redis compares plain chars, so bytes above 127 come before all others where char is signed.
        char low = pattern[p], high = pattern[p + 2];
        if (low > high) std::swap(low, high);
        found |= fold(low) <= c && c <= fold(high);
        p += 2;
      } else {
        found |= fold(pattern[p]) == c;
      }
      ++p;
    }
    if (p < pattern.size()) ++p;
    return found != negated;
  }
  if (pattern[p] == '\\' && p + 1 < pattern.size()) ++p;
  return fold(pattern[p++]) == c;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case) {
  // Only the last '*' ever needs another try, so this is a loop and not Redis's recursion.
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = t;
    } else if (p < pattern.size() && match_one(pattern, p, text[t], ignore_case)) {
      ++t;
    } else if (star != std::string_view::npos) {
      p = star;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_glob(std::string_view pattern) {
  return pattern.find_first_of("*?[\\") != std::string_view::npos;
}

}  // namespace dualbus::base
