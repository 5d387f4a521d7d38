#pragma once

#include <string_view>

namespace dualbus::base {

/// Redis's glob patterns (util.c, stringmatchlen): `*`, `?`, `[abc]`, `[^a-z]`, `\` escapes. The time is at
/// most proportional to pattern times text, whatever the pattern.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false);

/// True only if `wide` matches every text that `narrow` matches. False also where that could be found out by
/// nothing less than trying: of two patterns that mean the same in different words, such as `?*` and `*?`.
bool glob_covers(std::string_view wide, std::string_view narrow);

/// True if `pattern` has any character with a meaning of its own.
bool is_glob(std::string_view pattern);

}  // namespace dualbus::base
