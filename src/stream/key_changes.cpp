#include <dualbus/stream/key_changes.hpp>

#include <functional>

namespace dualbus::stream {

std::uint16_t key_changes::index_of(std::string_view key) {
  return static_cast<std::uint16_t>(std::hash<std::string_view>{}(key) % counters);
}

key_changes::state key_changes::of(std::string_view key) const {
  const counter& own = counters_[index_of(key)];
  const counter& all = counters_[counters];
  // The requests that have ended are read first: one that begins meanwhile is seen as going on.
  const std::uint64_t ended = own.ended.load() + all.ended.load();
  const std::uint64_t begun = own.begun.load() + all.begun.load();
  return {begun, begun == ended};
}

void key_change::begin(key_changes& changes, std::uint16_t index) {
  if (of_ == nullptr) count_ = 0;
  of_ = &changes;
  ++changes.counters_[index].begun;
  indices_[count_++] = index;
}

void key_change::add(key_changes& changes, std::string_view key) {
  // The last place is for the rest.
  if (of_ == nullptr || count_ + 1U < indices_.size()) {
    begin(changes, key_changes::index_of(key));
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
