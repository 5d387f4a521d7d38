#include <dualbus/base/c_string.hpp>
#include <dualbus/stream/bounds.hpp>

#include <limits>

namespace dualbus::stream {
namespace {

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();
constexpr client_id first_id{0, 0}, last_id{max_number, max_number};

parsed_bound parse_bound(std::string_view text, std::uint64_t missing_seq, client_id nothing_beyond) {
  parsed_bound result;
  if (base::is_word(text, "-")) {
    result.value.id = first_id;
    return result;
  }
  if (base::is_word(text, "+")) {
    result.value.id = last_id;
    return result;
  }
  if (text.starts_with('(')) {
    result.value.exclusive = true;
    text.remove_prefix(1);
  }
  const auto id = parse_id(text, missing_seq);
  if (!id) {
    result.error = bound_error::invalid_id;
    return result;
  }
  result.value.id = {id->ms, id->seq};
  if (result.value.exclusive && result.value.id == nothing_beyond) result.error = bound_error::empty_interval;
  return result;
}

}  // namespace

std::optional<bus_id> floor_on(int slot, client_id id) {
  const std::uint64_t named = slot_of(id);
  if (named == static_cast<std::uint64_t>(slot)) return to_bus(id);
  if (named > static_cast<std::uint64_t>(slot)) return bus_id{id.ms, slot_span - 1};
  if (id.ms == 0) return std::nullopt;
  return bus_id{id.ms - 1, slot_span - 1};
}

std::optional<bus_id> ceiling_on(int slot, client_id id) {
  const std::uint64_t named = slot_of(id);
  if (named == static_cast<std::uint64_t>(slot)) return to_bus(id);
  if (named < static_cast<std::uint64_t>(slot)) return bus_id{id.ms, 0};
  if (id.ms == max_number) return std::nullopt;
  return bus_id{id.ms + 1, 0};
}

parsed_bound parse_start(std::string_view text) {
  return parse_bound(text, 0, last_id);
}

parsed_bound parse_end(std::string_view text) {
  return parse_bound(text, max_number, first_id);
}

std::optional<bound<bus_id>> start_on(int slot, const bound<client_id>& start) {
  if (!start.exclusive) {
    const auto id = ceiling_on(slot, start.id);
    if (!id) return std::nullopt;
    return bound<bus_id>{*id, false};
  }
  const auto id = floor_on(slot, start.id);
  return id ? bound<bus_id>{*id, true} : bound<bus_id>{bus_id{}, false};
}

std::optional<bound<bus_id>> end_on(int slot, const bound<client_id>& end) {
  if (!end.exclusive) {
    const auto id = floor_on(slot, end.id);
    if (!id) return std::nullopt;
    return bound<bus_id>{*id, false};
  }
  const auto id = ceiling_on(slot, end.id);
  if (!id) return bound<bus_id>{bus_id{max_number, max_number}, false};
  if (*id == bus_id{}) return std::nullopt;
  return bound<bus_id>{*id, true};
}

std::string to_string(const bound<bus_id>& value) {
  return (value.exclusive ? "(" : "") + to_string(value.id);
}

bus_id after_on(int slot, client_id id) {
  return floor_on(slot, id).value_or(bus_id{});
}

bus_id min_id_on(int slot, client_id id) {
  return ceiling_on(slot, id).value_or(bus_id{max_number, max_number});
}

}  // namespace dualbus::stream
