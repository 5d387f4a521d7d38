#include <dualbus/stream/empty_polls.hpp>

#include <algorithm>

namespace dualbus::stream {

using command::bus_index;

const empty_polls::group_state* empty_polls::find(const poll& p) const {
  const auto key = keys_.find(p.key);
  if (key == keys_.end()) return nullptr;
  const auto group = key->second.find(p.group);
  return group == key->second.end() ? nullptr : &group->second;
}

const empty_polls::consumer_state* empty_polls::find_consumer(const poll& p) const {
  const group_state* const known = find(p);
  if (known == nullptr) return nullptr;
  const auto consumer = known->consumers.find(p.consumer);
  return consumer == known->consumers.end() ? nullptr : &consumer->second;
}

empty_polls::consumer_state* empty_polls::know(const poll& p) {
  if (const consumer_state* const known = find_consumer(p)) return const_cast<consumer_state*>(known);
  if (p.size() > max_name_bytes || consumers_ >= max_consumers) return nullptr;
  ++consumers_;
  group_state& group = keys_[std::string(p.key)][std::string(p.group)];
  group.ends.resize(buses_);
  consumer_state& made = group.consumers[std::string(p.consumer)];
  made.asked.resize(buses_);
  return &made;
}

bus_set empty_polls::empty(const poll& p, const view& now_seen, const limits& most,
                           base::time_point now) const {
  const group_state* const known = find(p);
  const consumer_state* const consumer = find_consumer(p);
  if (consumer == nullptr) return 0;
  bus_set result = 0;
  for (std::size_t bus = 0; bus < buses_; ++bus) {
    const end& last = known->ends[bus];
    const parked_reads::sighting& sight = now_seen.buses[bus];
    const bool unchanged =
        sight.armed && sight.mark == last.mark && now_seen.changes[bus].begun == last.changes.begun;
    // Redis must see the consumer now and then, too, or the consumer would count as idle there.
    const bool recent = now - last.sent < most.nil && now - consumer->asked[bus] < most.nil;
    if (unchanged && recent) result |= bus_set{1} << bus;
  }
  return result;
}

bool empty_polls::no_group(const poll& p, const view& now_seen, const limits& most,
                           base::time_point now) const {
  const group_state* const known = find(p);
  if (known == nullptr || !known->absent) return false;
  const absence& last = *known->absent;
  if (now - last.seen.at >= most.no_group) return false;
  for (std::size_t bus = 0; bus < buses_; ++bus) {
    const bool decides = (last.buses >> bus & 1) != 0;
    if (!decides) continue;
    if (now_seen.changes[bus].begun != last.seen.changes[bus].begun) return false;
    if (now_seen.buses[bus].mark != last.seen.buses[bus].mark) return false;
  }
  return true;
}

void empty_polls::absorbed(const poll& p, base::time_point now) {
  if (consumer_state* const consumer = know(p)) consumer->absorbed = now;
}

base::time_point empty_polls::last_absorbed(const poll& p) const {
  const consumer_state* const consumer = find_consumer(p);
  return consumer == nullptr ? base::time_point{} : consumer->absorbed;
}

bool empty_polls::polls(const poll& p) const {
  return find_consumer(p) != nullptr;
}

void empty_polls::asked(const poll& p, bus_index bus, base::time_point now) {
  if (consumer_state* const consumer = know(p)) consumer->asked[bus] = now;
}

void empty_polls::reached_end(const poll& p, bus_index bus, const view& seen) {
  // Nothing was proved if the bus did not watch, or if something might have come behind the read: a request
  // that had no answer yet, unless it is an entry in front of the read.
  if (!seen.buses[bus].armed || seen.changes[bus].unfinished != seen.buses[bus].entries) return;
  if (group_state* const known = find(p)) {
    known->ends[bus] = {seen.buses[bus].mark, seen.changes[bus], seen.at};
  }
}

void empty_polls::found_no_group(const poll& p, bus_set buses, const view& seen) {
  for (std::size_t bus = 0; bus < buses_; ++bus) {
    if ((buses >> bus & 1) != 0 && seen.changes[bus].unfinished != 0) return;
  }
  if (know(p) != nullptr) find(p)->absent = absence{buses, seen};
}

void empty_polls::clean_up(const limits& most, base::time_point now) {
  consumers_ = 0;
  for (auto& [key, groups] : keys_) {
    for (auto& [group, known] : groups) {
      std::erase_if(known.consumers, [&](const auto& consumer) {
        const auto& asked = consumer.second.asked;
        return now - consumer.second.absorbed >= most.nil &&
               std::all_of(asked.begin(), asked.end(),
                           [&](base::time_point when) { return now - when >= most.nil; });
      });
      consumers_ += known.consumers.size();
      if (known.absent && now - known.absent->seen.at >= most.no_group) known.absent.reset();
    }
    std::erase_if(groups,
                  [](const auto& group) { return group.second.consumers.empty() && !group.second.absent; });
  }
  std::erase_if(keys_, [](const auto& key) { return key.second.empty(); });
}

std::size_t empty_polls::groups() const {
  std::size_t count = 0;
  for (const auto& [key, groups] : keys_) count += groups.size();
  return count;
}

}  // namespace dualbus::stream
