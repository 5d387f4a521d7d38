#pragma once

#include <dualbus/backend/dedicated_pool.hpp>
#include <dualbus/base/clock.hpp>
#include <dualbus/operation/request_operation.hpp>

namespace dualbus::operation {

/// State that a transaction may leave behind on a borrowed link, and must not.
struct leftovers {
  bool watch = false;     ///< watched keys
  bool queue = false;     ///< MULTI without EXEC; the watched keys go with it
  bool database = false;  ///< the link may be in another database than noted
};

/// Gives a link whose requests have been answered back to its pool; the bus, whose first database is
/// `bus_database`, is told to forget the state that is left.
void give_back(backend::dedicated_pool& pool, backend::link& link, leftovers left, int bus_database,
               base::time_point now);

/// For replies that nobody needs.
backend::reply_sink& nobody();
/// Appends a SELECT of the client's `database`, by the number that it has on that bus.
void append_select(const environment& environment, command::bus_index bus, int database,
                   base::chunk_queue& out);

}  // namespace dualbus::operation
