#pragma once

#include <dualbus/stream/entry_id.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace dualbus::stream {

/// The largest ID on a bus whose client form is not above `id`; nothing if there is none.
std::optional<bus_id> floor_on(int slot, client_id id);
/// The smallest ID on a bus whose client form is not below `id`; nothing if there is none.
std::optional<bus_id> ceiling_on(int slot, client_id id);

/// One end of a range of IDs, as XRANGE and XPENDING take it: `-`, `+`, `ms`, `ms-seq`, each number form also
/// behind `(` to leave it out.
template <typename Id>
struct bound {
  Id id;
  bool exclusive = false;
  bool operator==(const bound&) const = default;
};

enum class bound_error {
  invalid_id,     ///< "Invalid stream ID specified as stream command argument"
  empty_interval  ///< an excluded end of the ID space: "invalid start/end ID for the interval"
};

struct parsed_bound {
  bound<client_id> value;
  std::optional<bound_error> error;
};
parsed_bound parse_start(std::string_view text);
parsed_bound parse_end(std::string_view text);

/// The same end of the range on one bus; nothing if the bus has no ID in it.
std::optional<bound<bus_id>> start_on(int slot, const bound<client_id>& start);
std::optional<bound<bus_id>> end_on(int slot, const bound<client_id>& end);

/// As an argument for Redis.
std::string to_string(const bound<bus_id>& value);

/// The position to read on from so that exactly what comes after `id` is read (XREAD, XGROUP).
bus_id after_on(int slot, client_id id);
/// MINID's threshold on the bus: entries below `id` go. If no entry of the bus reaches `id`, all of them do.
bus_id min_id_on(int slot, client_id id);

}  // namespace dualbus::stream
