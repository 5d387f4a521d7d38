#pragma once

#include <string_view>

namespace dualbus::base {

/// Redis's glob patterns (util.c, stringmatchlen): `*`, `?`, `[abc]`, `[^a-z]`, `\` escapes. The time is at
/// most proportional to the length of the pattern times that of the text.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false);

/// True only if `wide` matches every text that `narrow` matches. It may be false for patterns that mean the
/// same in different words, such as `?*` and `*?`.
bool glob_covers(std::string_view wide, std::string_view narrow);

/// True if `pattern` has any character with a meaning of its own.
bool is_glob(std::string_view pattern);

}  // namespace dualbus::base
