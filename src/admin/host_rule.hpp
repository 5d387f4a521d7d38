#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// Whether a request with this Host header is meant for this listener. If the name of a web page is made to
/// resolve to the listener's address (DNS rebinding), its reader's browser sends that name, and the page
/// could read the listener's answers. Such a name needs a dot. So these are accepted: no name at all, numeric
/// addresses, names without a dot (`localhost`, a service of Compose), this machine's own name, and
/// `allowed`: names or patterns as in KEYS, in any case.
bool is_own_host(std::string_view header, const std::vector<std::string>& allowed);

}  // namespace dualbus::admin
