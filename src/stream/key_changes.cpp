#include <dualbus/stream/key_changes.hpp>

namespace dualbus::stream {

std::uint16_t key_changes::index_of(std::uint64_t hash, command::bus_index bus) {
  // Each bus, and all of them together, have counters of their own for the key.
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;
  const std::uint64_t part = bus == command::no_bus ? 0 : bus + std::uint64_t{1};
  return static_cast<std::uint16_t>((hash + part * odd) % counters);
}

key_changes::state key_changes::of_hash(std::uint64_t hash, command::bus_index bus) const {
  const counter* const all[] = {&counters_[index_of(hash, bus)], &counters_[index_of(hash, command::no_bus)],
                                &counters_[counters]};
  // The ended requests are counted first: a request that begins meanwhile is seen as going on.
  std::uint64_t ended = 0, begun = 0;
  for (const counter* const c : all) ended += c->ended.load();
  for (const counter* const c : all) begun += c->begun.load();
  return {begun, begun - ended};
}

std::vector<key_changes::state> key_changes::on_each(std::string_view key, std::size_t buses) const {
  const std::uint64_t hash = hash_of(key);
  std::vector<state> result;
  result.reserve(buses);
  for (std::size_t bus = 0; bus < buses; ++bus) {
    result.push_back(of_hash(hash, static_cast<command::bus_index>(bus)));
  }
  return result;
}

void key_change::begin(key_changes& changes, std::uint16_t index) {
  if (of_ == nullptr) count_ = 0;
  of_ = &changes;
  ++changes.counters_[index].begun;
  indices_[count_++] = index;
}

void key_change::add(key_changes& changes, std::string_view key, command::bus_index bus) {
  // The last place is kept for the counter of all keys.
  if (of_ == nullptr || count_ + 1U < indices_.size()) {
    begin(changes, key_changes::index_of(key_changes::hash_of(key), bus));
  } else if (indices_[count_ - 1U] != key_changes::counters) {
    begin(changes, key_changes::counters);
  }
}

void key_change::add_all(key_changes& changes) {
  if (of_ == nullptr || indices_[count_ - 1U] != key_changes::counters) {
    begin(changes, key_changes::counters);
  }
}

void key_change::end() {
  if (of_ == nullptr) return;
  for (std::size_t i = 0; i < count_; ++i) ++of_->counters_[indices_[i]].ended;
  of_ = nullptr;
}

}  // namespace dualbus::stream
