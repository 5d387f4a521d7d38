#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>

#include <bitset>
#include <utility>
#include <vector>

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

// One element of a pattern, and the text it may stand for: a set of characters, or `*`.
struct element {
  bool star = false;
  std::bitset<256> set;
};

std::vector<element> elements_of(std::string_view pattern) {
  std::vector<element> elements;
  for (std::size_t p = 0; p < pattern.size();) {
    element next;
    if (pattern[p] == '*') {
      next.star = true;
      ++p;
    } else {
      std::size_t behind = p;
      for (int c = 0; c < 256; ++c) {
        std::size_t at = p;
        next.set[static_cast<std::size_t>(c)] = match_one(pattern, at, static_cast<char>(c), false);
        behind = at;
      }
      p = behind;
    }
    elements.push_back(next);
  }
  return elements;
}

}  // namespace

bool glob_covers(std::string_view wide, std::string_view narrow) {
  if (!is_glob(narrow)) return glob_match(wide, narrow);
  if (!is_glob(wide)) return false;
  // The narrow pattern is matched like a text whose characters are its elements. covered[n]: the elements of
  // `wide` so far cover the first n of `narrow`.
  const std::vector<element> of_wide = elements_of(wide), of_narrow = elements_of(narrow);
  std::vector<bool> covered(of_narrow.size() + 1);
  covered[0] = true;
  for (const element& w : of_wide) {
    std::vector<bool> next(covered.size());
    if (w.star) next[0] = covered[0];
    for (std::size_t n = 0; n < of_narrow.size(); ++n) {
      const element& one = of_narrow[n];
      next[n + 1] = w.star ? covered[n + 1] || next[n] : covered[n] && !one.star && (one.set & ~w.set).none();
    }
    covered = std::move(next);
  }
  return covered.back();
}

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
