#include <dualbus/stream/key_changes.hpp>

namespace dualbus::stream {

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

void key_change::add_further(key_changes& changes, std::string_view key, command::bus_index bus) {
  // The last place is kept for the counter of all keys.
  if (count_ + 1U < indices_.size()) {
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
