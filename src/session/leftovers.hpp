#pragma once

#include <dualbus/backend/dedicated_pool.hpp>
#include <dualbus/base/clock.hpp>

namespace dualbus::session {

/// State that a transaction may leave behind on a borrowed link, and must not.
struct leftovers {
  bool watch = false;     ///< watched keys
  bool queue = false;     ///< MULTI without EXEC; the watched keys go with it
  bool database = false;  ///< it may be in another database than it says
};

/// Gives a link whose requests have been answered back to its pool; the bus, whose first database is
/// `bus_database`, is told to forget what is left behind.
void give_back(backend::dedicated_pool& pool, backend::link& link, leftovers what, int bus_database,
               base::time_point now);

}  // namespace dualbus::session
