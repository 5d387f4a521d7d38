#pragma once

#include <dualbus/config/configuration.hpp>

#include <string>
#include <utility>
#include <vector>

namespace dualbus::config {

/// Everything that a reload changes, one line for each key or rule, for the log: `limits.max_clients: 10000
/// -> 5000`, `routing.keys: added 'md:*' -> 'marketdata'`. Passwords and their hashes are never shown.
std::vector<std::string> differences(const configuration& was, const configuration& becomes);

/// Every key that has one value, with it as it would stand in the file: `limits.max_clients`, `10000`. Rules,
/// users and passwords are not among them.
std::vector<std::pair<std::string, std::string>> settings(const configuration& of);

/// A short name for the rules by which messages and keys find their buses: daemons that serve the same buses
/// must have the same. It does not depend on addresses, limits and other things that may differ between
/// daemons, nor on the way in which the file is written.
std::string rules_hash(const configuration& of);

}  // namespace dualbus::config
