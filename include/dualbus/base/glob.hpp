#pragma once

#include <string_view>

namespace dualbus::base {

/// Redis's glob patterns (util.c, stringmatchlen): `*`, `?`, `[abc]`, `[^a-z]`, `\` escapes. The time is at
/// most proportional to pattern times text, whatever the pattern.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false);

/// True if `pattern` has any character with a meaning of its own.
bool is_glob(std::string_view pattern);

}  // namespace dualbus::base
