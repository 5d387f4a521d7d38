#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dualbus::metrics {

/// Whether a bus does its job, as one worker sees it. From `loading` on, the reason is what its Redis says.
enum class bus_state : std::uint8_t {
  up,            ///< it does
  disconnected,  ///< there is no connection
  silent,        ///< it has owed an answer for a second
  loading,       ///< it loads its data
  busy,          ///< a script runs that does not end
  replica,       ///< it is no master: it refuses writes
  misconf,       ///< it refuses writes because it cannot save its data
  noreplicas,    ///< it refuses writes because it has too few replicas
  oom,           ///< it refuses writes that take memory
  clusterdown,   ///< its cluster does not serve
  noauth         ///< it does not take the daemon's password any more
};
inline constexpr std::size_t bus_state_count = 11;

/// The name in metrics.
std::string_view bus_state_name(bus_state s);
/// A text for people that follows the name of the bus: "is a replica and refuses writes (READONLY)".
std::string_view bus_state_text(bus_state s);

}  // namespace dualbus::metrics
