#pragma once

#include <dualbus/base/glob.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

/// Whether a user with these `channels` may be subscribed to a channel, or a shard's, of that name, or to a
/// pattern.
inline bool may_receive(const std::vector<std::string>& channels, bool pattern, std::string_view name) {
  return std::any_of(channels.begin(), channels.end(), [&](const std::string& allowed) {
    // A pattern might match more than one that the user has: only the very same will do.
    return allowed == "*" || (pattern ? allowed == name : base::glob_match(allowed, name));
  });
}

}  // namespace dualbus::session
