#pragma once

#include <string>
#include <string_view>

namespace dualbus::config {

/// A mark is a library of functions on the bus's Redis, whose name says which slot the bus has. Redis keeps
/// it with the data (RDB, AOF, replicas), and it is no key. Redis has one set of libraries for all databases,
/// so the name has the bus's database, too: `dualbus_db0_slot1`.
std::string slot_mark_prefix(int database);
std::string slot_mark_name(int database, int slot);
bool is_slot_mark(std::string_view library);

}  // namespace dualbus::config
