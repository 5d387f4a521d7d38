#include <dualbus/backend/bus_errors.hpp>

#include <algorithm>
#include <array>

namespace dualbus::backend {
namespace {

using metrics::bus_state;

constexpr std::array<bus_error, 14> table = {{
    {"LOADING", bus_state::loading, true, true, false},
    {"BUSY", bus_state::busy, true, true, false},
    {"READONLY", bus_state::replica, false, true, true},
    {"MASTERDOWN", bus_state::replica, true, true, true},
    {"MISCONF", bus_state::misconf, false, true, false},
    {"NOREPLICAS", bus_state::noreplicas, false, true, false},
    {"OOM", bus_state::oom, false, false, false},
    {"CLUSTERDOWN", bus_state::clusterdown, true, true, false},
    {"NOAUTH", bus_state::noauth, true, true, true},
    {"WRONGPASS", bus_state::noauth, true, true, true},
    // The daemon's user on the bus lacks a permission: for this command or this key.
    {"NOPERM", bus_state::up, false, false, false},
    // A node of a cluster: for keys of one slot.
    {"TRYAGAIN", bus_state::up, false, false, false},
    {"MOVED", bus_state::up, false, false, false},
    {"ASK", bus_state::up, false, false, false},
}};

}  // namespace

std::span<const bus_error> bus_error_table() {
  return table;
}

const bus_error* find_bus_error(std::string_view reply) {
  if (!reply.starts_with('-')) return nullptr;
  const std::string_view code = reply.substr(1, reply.find_first_of(" \r") - 1);
  const auto found =
      std::find_if(table.begin(), table.end(), [code](const bus_error& e) { return e.code == code; });
  return found == table.end() ? nullptr : &*found;
}

bool ends_connection(std::string_view reply) {
  return reply.starts_with("-UNBLOCKED force unblock ");
}

}  // namespace dualbus::backend
