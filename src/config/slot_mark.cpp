#include <dualbus/config/slot_mark.hpp>

namespace dualbus::config {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string slot_mark_prefix(int database) {
  return "dualbus_db" + std::to_string(database) + "_slot";
}

std::string slot_mark_name(int database, int slot) {
  return slot_mark_prefix(database) + std::to_string(slot);
}

bool is_slot_mark(std::string_view library) {
  constexpr std::string_view head = "dualbus_db", middle = "_slot";
  const std::size_t at = library.find(middle);
  if (!library.starts_with(head) || at == std::string_view::npos || at < head.size()) return false;
  return is_number(library.substr(head.size(), at - head.size())) &&
         is_number(library.substr(at + middle.size()));
}

}  // namespace dualbus::config
