#pragma once

#include <dualbus/handler/names.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dualbus::handler {

/// The way in which the values of several buses under one name become one value. If they differ, it is the
/// one that an operator must know of.
enum class merging : std::uint8_t {
  sum,
  largest,
  smallest,
  limit,   ///< a limit in bytes, 0 for none: the sum if every bus has one, 0 if none has; else no value
  policy,  ///< maxmemory-policy: the one that evicts most, allkeys-* before volatile-* before noeviction
  worst,   ///< "ok", "yes" or "up" if all say so, else the first one that says something else
  role,    ///< "slave" if one is a replica, else "master"
  same     ///< the value of all buses if they agree; else no value
};

/// The merged value; nothing if there are no values, or they have none in common. For numbers, values that
/// are none are passed over.
std::optional<std::string> merge(merging how, std::span<const std::string_view> values);

}  // namespace dualbus::handler
