#include <dualbus/config/slot_mark.hpp>

namespace dualbus::config {

std::string slot_mark_prefix(int database) {
  return "dualbus_db" + std::to_string(database) + "_slot";
}

std::string slot_mark_name(int database, int slot) {
  return slot_mark_prefix(database) + std::to_string(slot);
}

bool is_slot_mark(std::string_view library) {
  return library.starts_with("dualbus_db") && library.find("_slot") != std::string_view::npos;
}

}  // namespace dualbus::config
