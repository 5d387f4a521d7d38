#pragma once

#include <dualbus/resp/request_parser.hpp>

#include <string_view>
#include <vector>

namespace dualbus::session {

/// The text in a secret's place where a request is shown.
inline constexpr std::string_view redacted = "(redacted)";

/// By argument: whether it is a password or the like, which no log and no monitor may show. Empty if there is
/// none. They are those that Redis hides (callers of redactClientCommandArgument: acl.c, networking.c,
/// cluster.c, config.c).
std::vector<bool> secrets_in(resp::arguments args);

}  // namespace dualbus::session
