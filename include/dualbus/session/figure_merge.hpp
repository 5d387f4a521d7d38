#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dualbus::session {

/// How the values that several buses have under one name become one. If they differ, the one is told that an
/// operator must know.
enum class merging : std::uint8_t {
  sum,
  largest,
  smallest,
  limit,   ///< a limit in bytes, 0 for none: the sum if every bus has one, 0 if none has; else there is none
  policy,  ///< maxmemory-policy: the one that evicts most, allkeys-* before volatile-* before noeviction
  worst,   ///< "ok", "yes" or "up" if all say so, else the first one that says something else
  role,    ///< "slave" if one is a replica, else "master"
  same     ///< what all say; else there is none
};

/// The merged value; nothing if there are no values, or they have none in common. If numbers are meant,
/// other values are passed over.
std::optional<std::string> merge(merging how, std::span<const std::string_view> values);

}  // namespace dualbus::session
