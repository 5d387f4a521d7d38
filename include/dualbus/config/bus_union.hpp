#pragma once

#include <dualbus/config/configuration.hpp>

#include <vector>

namespace dualbus::config {

/// Two configurations in which an index means the same bus: first the buses of the running one, then those
/// that only the loaded one has. A bus that one of them lacks drains there and is named by no rule.
///
/// A bus is the same by its name; or, if only its name has changed, by its slot and its place.
struct bus_union {
  configuration running, loaded;
  std::vector<command::bus_index> added, removed;

  bus_union(const configuration& running_one, const configuration& loaded_one);
};

}  // namespace dualbus::config
