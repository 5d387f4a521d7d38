#include <dualbus/metrics/bus_state.hpp>

#include <array>

namespace dualbus::metrics {
namespace {

struct state_description {
  std::string_view name, text;
};

constexpr std::array<state_description, bus_state_count> descriptions = {{
    {"up", "does its job"},
    {"disconnected", "has no connection"},
    {"silent", "does not answer"},
    {"loading", "is loading its data (LOADING)"},
    {"busy", "is busy with a script (BUSY)"},
    {"replica", "is a replica and refuses writes (READONLY)"},
    {"misconf", "refuses writes because it cannot save its data (MISCONF)"},
    {"noreplicas", "refuses writes because it has too few replicas (NOREPLICAS)"},
    {"oom", "refuses writes because its memory is full (OOM)"},
    {"clusterdown", "does not serve because its cluster is down (CLUSTERDOWN)"},
    {"noauth", "does not take the daemon's password any more (NOAUTH)"},
}};

}  // namespace

std::string_view bus_state_name(bus_state s) {
  return descriptions[static_cast<std::size_t>(s)].name;
}

std::string_view bus_state_text(bus_state s) {
  return descriptions[static_cast<std::size_t>(s)].text;
}

}  // namespace dualbus::metrics
