#pragma once

#include <dualbus/base/glob.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {

/// Whether a user with these `channels` may be subscribed to a channel, or a shard's, of that name, or to a
/// pattern.
inline bool may_receive(const std::vector<std::string>& channels, bool pattern, std::string_view name) {
  return std::any_of(channels.begin(), channels.end(), [&](const std::string& allowed) {
    // Another pattern might match more channels than the user's: only the same pattern is allowed.
    return allowed == "*" || (pattern ? allowed == name : base::glob_match(allowed, name));
  });
}

}  // namespace dualbus::client
