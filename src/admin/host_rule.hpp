#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// Whether a request with this Host header is meant for this listener. A web page whose own name is made to
/// resolve to the listener's address (DNS rebinding) has its reader's browser send that name, and could read
/// what the listener answers. Such a name needs a dot. So these are taken: no name at all, numeric addresses,
/// names without a dot (`localhost`, a service of Compose), this machine's own name, and `allowed`: names
/// or patterns as in KEYS, in any case.
bool is_own_host(std::string_view header, const std::vector<std::string>& allowed);

}  // namespace dualbus::admin
