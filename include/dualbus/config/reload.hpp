#pragma once

#include <dualbus/config/configuration.hpp>

#include <string>
#include <vector>

namespace dualbus::config {

/// The keys in which the two differ and which cannot change at run time, in the order of the reference:
/// `listen.port`, `buses.marketdata.endpoint`. A bus that only one of them has is named as `buses.<name>`;
/// `buses` alone means that the same buses come in another order. If none of the names starts with `buses`,
/// bus indexes mean the same in both.
std::vector<std::string> restart_needed(const configuration& running, const configuration& loaded);

}  // namespace dualbus::config
