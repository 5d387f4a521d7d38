#pragma once

#include <dualbus/config/configuration.hpp>

#include <string>
#include <vector>

namespace dualbus::config {

/// The keys in which the two differ and which running workers cannot follow, in the order of the reference:
/// `listen.port`, `buses.marketdata.id_slot`. New workers take the clients over instead. A bus that only one
/// of them has is named as `buses.<name>`; `buses` alone means that the same buses come in another order. If
/// none of the names starts with `buses`, bus indexes mean the same in both.
std::vector<std::string> new_workers_needed(const configuration& running, const configuration& loaded);

/// The keys that can change at run time and in which the two configurations differ, which have the same
/// buses: `limits.max_clients`, `buses.marketdata.password_file`, also if only the password in that file is
/// another one. Lists, and maps with free names, are named as a whole: `routing.keys`, `auth.users`.
std::vector<std::string> changed_keys(const configuration& running, const configuration& loaded);

/// Effects of a change of keys that its author may not have meant, as lines for the log.
std::vector<std::string> side_effects(const configuration& running, const configuration& loaded);

}  // namespace dualbus::config
