#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/command/routing_table.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// The words of parked_reads.
namespace dualbus::stream::parking {

using reader_id = std::uint64_t;

struct source {
  std::string_view key;
  command::bus_index only = command::no_bus;  ///< the one bus of a pinned key; no_bus: all
};

/// All that was known of a key on every bus when a read was sent; an empty one knows nothing.
struct sighting {
  bool armed = false;  ///< to be cleared if the bus did not answer that read properly
  std::uint64_t mark = 0;
  std::uint32_t entries = 0;  ///< of added(), in order, that had no answer: in front of the read
};
using sightings = std::vector<sighting>;

struct target {
  std::uint32_t source;  ///< index in the reader's sources
  command::bus_index bus;
  /// In a sweep: an entry may be there. False if nothing was, and only groups may have changed since.
  bool expected = true;
};

enum class cause : std::uint8_t {
  none,     ///< an arming that was waited for, a recheck, a bus that came back
  local,    ///< an entry that went through this worker
  notified  ///< a notification of the bus
};

struct action {
  enum class kind : std::uint8_t {
    arm,     ///< have `bus` watch `key`, then call armed()
    sweep,   ///< `reader` looks at `targets`, then leave() or swept() is called
    expire,  ///< `reader` has waited long enough, and is not parked any more
  };
  kind what;
  command::bus_index bus = command::no_bus;
  std::string key;
  reader_id reader = 0;
  std::vector<target> targets;
  cause because = cause::none;
  base::time_point since{};  ///< when the cause was noticed
};

struct string_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace dualbus::stream::parking
