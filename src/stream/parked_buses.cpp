#include "parked_state.hpp"

#include <dualbus/stream/parked_reads.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::stream {

using command::bus_index;

void parked_reads::bus_up(bus_index bus, base::time_point now) {
  buses_[bus].up = true;
  look_again(bus, now);
}

void parked_reads::bus_down(bus_index bus) {
  buses_[bus].up = false;
}

void parked_reads::serves_groups(bus_index bus, bool serves, base::time_point now) {
  buses_[bus].groups = serves;
  if (serves) look_again(bus, now);
}

void parked_reads::forgive(bus_index bus) {
  for (auto& [name, key] : keys_) {
    for (auto& [group, q] : key->groups) q->buses[bus].not_before = {};
    for (auto& q : key->singles) q->buses[bus].not_before = {};
  }
}

void parked_reads::look_again(bus_index bus, base::time_point now) {
  for (auto& [name, key] : keys_) touch(*key, bus, cause::none, now);
  forgive(bus);
  evaluate_all(now);
}

void parked_reads::watcher_up(bus_index bus, base::time_point now) {
  buses_[bus].watched = true;
  buses_[bus].settled = {};
  forgive(bus);
  evaluate_all(now);
}

void parked_reads::watcher_down(bus_index bus, base::time_point now) {
  if (std::exchange(buses_[bus].watched, false)) buses_[bus].settled = now + settling;
  for (auto& [name, key] : keys_) {
    touch(*key, bus, cause::none, now);
    key->buses[bus].watch.lost();
    // Nobody looks at once: when the watcher is back, the key is armed first.
    for (auto& [group, q] : key->groups) q->buses[bus].swept = key->buses[bus].mark;
    for (auto& q : key->singles) q->buses[bus].swept = key->buses[bus].mark;
  }
  evaluate_all(now);
}

void parked_reads::armed(bus_index bus, std::string_view name, base::time_point now) {
  key_state* const key = find(name);
  if (key == nullptr) return;
  key->buses[bus].watch.arm_answered();
  evaluate_heads(*key, now);
}

void parked_reads::changed(bus_index bus, std::string_view name, base::time_point now) {
  key_state* const key = find(name);
  if (key == nullptr) return;
  if (key->buses[bus].watch.announced()) touch(*key, bus, cause::notified, now);
  evaluate_heads(*key, now);
}

void parked_reads::added(bus_index bus, std::uint32_t number, bool in_order, base::time_point now) {
  const auto found = keys_by_number_.find(number);
  if (found == keys_by_number_.end()) return;
  if (in_order) found->second->buses[bus].watch.entry_sent();
  touch(*found->second, bus, cause::local, now);
  evaluate_heads(*found->second, now);
}

void parked_reads::added_answered(bus_index bus, std::uint32_t number, bool done, base::time_point now) {
  const auto found = keys_by_number_.find(number);
  if (found == keys_by_number_.end()) return;
  if (found->second->buses[bus].watch.entry_answered(done)) return;
  touch(*found->second, bus, cause::none, now);
  evaluate_heads(*found->second, now);
}

void parked_reads::arming_answered(bus_index bus, std::uint32_t number, bool done, base::time_point now) {
  const auto found = keys_by_number_.find(number);
  if (found == keys_by_number_.end()) return;
  if (!found->second->buses[bus].watch.arming_answered(done)) touch(*found->second, bus, cause::none, now);
  evaluate_heads(*found->second, now);
}

void parked_reads::arms_in_front(bus_index bus, bool does, base::time_point now) {
  if (std::exchange(buses_[bus].fronts, does) == does || does) return;
  // Another connection has no armings, and whether those of the last one count is not known.
  for (auto& [name, key] : keys_) {
    key->buses[bus].watch.lost();
    touch(*key, bus, cause::none, now);
  }
  evaluate_all(now);
}

void parked_reads::groups_changed(std::string_view name, base::time_point now) {
  key_state* const key = find(name);
  if (key == nullptr) return;
  for (std::size_t bus = 0; bus < buses_.size(); ++bus) {
    touch(*key, static_cast<bus_index>(bus), cause::none, now);
  }
  evaluate_heads(*key, now);
}

void parked_reads::recheck(bus_index bus, base::time_point now) {
  for (auto& [name, key] : keys_) {
    const std::uint64_t news = key->buses[bus].news;
    touch(*key, bus, cause::none, now);
    key->buses[bus].news = news;
  }
  evaluate_all(now);
}

void parked_reads::touch(key_state& key, bus_index bus, cause why, base::time_point now) {
  key_state::bus_part& part = key.buses[bus];
  part.news = part.mark = ++marks_;
  part.why = why;
  part.touched = now;
}

std::uint32_t parked_reads::waited_for(std::string_view name) const {
  if (readers_.empty()) return 0;
  const key_state* const key = find(name);
  return key == nullptr || !key->waited_for() ? 0 : key->number;
}

void parked_reads::arm(key_state& key, bus_index bus) {
  if (!buses_[bus].watched || !key.buses[bus].watch.arm()) return;
  actions_.push_back({.what = action::kind::arm, .bus = bus, .key = key.name, .targets = {}});
}

}  // namespace dualbus::stream
