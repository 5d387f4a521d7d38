#include "shared_redis.hpp"

#include <algorithm>
#include <cstdlib>

namespace dualbus::admin {

std::vector<shared_redis> find_shared_redis(const std::vector<bus_status>& buses,
                                            const config::configuration& configuration) {
  std::vector<shared_redis> found;
  const std::size_t count = std::min(buses.size(), configuration.buses.size());
  const auto knows = [&](std::size_t i) {
    return buses[i].up && buses[i].info && !buses[i].info->run_id.empty();
  };
  for (std::size_t second = 0; second < count; ++second) {
    for (std::size_t first = 0; first < second; ++first) {
      if (!knows(first) || !knows(second) || buses[first].info->run_id != buses[second].info->run_id)
        continue;
      const int apart = std::abs(configuration.buses[first].database - configuration.buses[second].database);
      if (apart < configuration.databases) found.push_back({first, second, buses[first].info->run_id});
    }
  }
  return found;
}

std::string describe(const shared_redis& shared, const config::configuration& configuration) {
  const auto& buses = configuration.routing.buses;
  return "buses '" + buses[shared.first].name + "' and '" + buses[shared.second].name +
         "' are the same Redis";
}

}  // namespace dualbus::admin
