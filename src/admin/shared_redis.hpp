#pragma once

#include "info_poller.hpp"

#include <dualbus/config/configuration.hpp>

#include <string>
#include <vector>

namespace dualbus::admin {

/// Two buses that are one Redis under two names, and share a database there: data stored on one of them is
/// seen on both. `first` comes first in the configuration.
struct shared_redis {
  std::size_t first, second;
  std::string run_id;

  bool operator==(const shared_redis&) const = default;
};

/// Judges by the last INFO; the configuration alone shows only equal endpoints. A bus that is not up now
/// shares nothing.
std::vector<shared_redis> find_shared_redis(const std::vector<bus_status>& buses,
                                            const config::configuration& configuration);

/// Text for the log and /readyz: "buses 'a' and 'b' are the same Redis".
std::string describe(const shared_redis& shared, const config::configuration& configuration);

}  // namespace dualbus::admin
