#include "parked_state.hpp"

#include <dualbus/stream/parked_reads.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::stream {

using command::bus_index;

namespace {

bool is_among(const std::vector<parked_reads::target>& list, const parked_reads::target& t) {
  return std::any_of(list.begin(), list.end(), [&](const parked_reads::target& other) {
    return other.source == t.source && other.bus == t.bus;
  });
}

}  // namespace

parked_reads::parked_reads(std::size_t buses) : buses_(buses) {}
parked_reads::~parked_reads() = default;

parked_reads::key_state* parked_reads::find(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : found->second.get();
}

parked_reads::key_state& parked_reads::know(std::string_view key, base::time_point now) {
  key_state* known = find(key);
  if (known == nullptr) {
    if (key_bytes_ > most_key_bytes_) forget(now);
    auto made = std::make_unique<key_state>();
    made->name = key;
    made->number = ++last_key_;
    made->buses.resize(buses_.size());
    for (auto& part : made->buses) part.news = part.mark = ++marks_;
    known = made.get();
    key_bytes_ += made->bytes();
    keys_by_number_.emplace(known->number, known);
    keys_.emplace(std::string(key), std::move(made));
  }
  known->used = now;
  return *known;
}

// ------------------------------------------------------------------------------------------------- readers

parked_reads::sightings parked_reads::look(std::string_view key, bool in_order, base::time_point now) {
  const key_state& known = know(key, now);
  sightings result;
  result.reserve(known.buses.size());
  for (const auto& part : known.buses) {
    result.push_back({part.watch.covers(in_order), part.mark, in_order ? part.watch.entries_under_way() : 0});
  }
  return result;
}

parked_reads::sending parked_reads::send(std::string_view key, bus_index bus, bool in_order,
                                         base::time_point now) {
  key_state& known = know(key, now);
  key_state::bus_part& part = known.buses[bus];
  const bool in_front = in_order && fronts(bus);
  sending result{.arm = in_front && part.watch.arm_in_front(), .key = known.number, .seen = {}};
  // An entry that is under way on the connection of the reads is only in front of reads on that connection.
  result.seen = {part.watch.covers(in_front), part.mark, in_order ? part.watch.entries_under_way() : 0};
  return result;
}

void parked_reads::sent(reader_id id, target where, const sighting& seen) {
  const auto found = readers_.find(id);
  if (found == readers_.end()) return;
  for (reader::look_out& looks : found->second->sweep) {
    if (looks.where.source != where.source || looks.where.bus != where.bus) continue;
    looks.armed = seen.armed;
    looks.mark = seen.mark;
  }
}

parked_reads::sightings parked_reads::watch(const source& from, bool in_order, base::time_point now) {
  sightings result = look(from.key, true, now);
  key_state& key = *find(from.key);
  for (std::size_t b = 0; b < buses_.size(); ++b) {
    const auto bus = static_cast<bus_index>(b);
    const bool has_it = from.only == command::no_bus || from.only == bus;
    if (has_it && buses_[b].up && !(in_order && fronts(bus))) arm(key, bus);
  }
  return result;
}

bool parked_reads::has_queue(std::string_view key, std::string_view group) const {
  const key_state* const known = find(key);
  return known != nullptr && known->groups.find(group) != known->groups.end();
}

parked_reads::reader_id parked_reads::park(const std::vector<source>& sources,
                                           std::optional<std::string_view> group,
                                           const std::vector<sightings>& seen,
                                           std::optional<base::time_point> deadline, bool in_order,
                                           base::time_point now) {
  auto made = std::make_unique<reader>();
  reader& r = *made;
  r.id = ++last_reader_;
  r.deadline = deadline;
  r.in_order = in_order;
  readers_.emplace(r.id, std::move(made));
  if (deadline) deadlines_.emplace(*deadline, r.id);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    key_state& key = know(sources[i].key, now);
    queue* q = nullptr;
    if (group) {
      auto& place = key.groups[std::string(*group)];
      if (place == nullptr) place = std::make_unique<queue>();
      q = place.get();
    } else {
      q = key.singles.emplace_back(std::make_unique<queue>()).get();
      q->self = std::prev(key.singles.end());
    }
    if (q->key == nullptr) {
      q->key = &key;
      if (group) q->group = *group;
      q->only = sources[i].only;
      q->buses.resize(buses_.size());
      for (std::size_t bus = 0; bus < buses_.size(); ++bus) {
        q->buses[bus].swept = key.buses[bus].mark;  // somebody has just looked
        if (i < seen.size() && bus < seen[i].size()) {
          if (seen[i][bus].armed) q->buses[bus].clean = seen[i][bus].mark;
          q->buses[bus].swept = seen[i][bus].mark;
        }
      }
    }
    q->readers.push_back(&r);
    r.places.push_back({q, std::prev(q->readers.end())});
  }
  evaluate(r, now);
  return r.id;
}

void parked_reads::swept(reader_id id, const std::vector<target>& failed,
                         std::optional<base::time_point> again, base::time_point now) {
  const auto found = readers_.find(id);
  if (found == readers_.end()) return;
  reader& r = *found->second;
  for (const reader::look_out& looked : r.sweep) {
    queue::bus_part& part = r.places[looked.where.source].queue->buses[looked.where.bus];
    if (is_among(failed, looked.where)) {
      part.not_before = now + retry_interval;
    } else if (again) {
      part.not_before = *again;
    } else if (looked.armed) {
      part.clean = looked.mark;
    }
  }
  r.sweep.clear();
  if (r.is_due(now)) {
    actions_.push_back({.what = action::kind::expire, .key = {}, .reader = id, .targets = {}});
    remove(r, now);
  } else {
    evaluate(r, now);
  }
}

void parked_reads::leave(reader_id id, bool served, const std::vector<target>& ended, base::time_point now) {
  const auto found = readers_.find(id);
  if (found == readers_.end()) return;
  const reader& r = *found->second;
  for (const reader::look_out& looked : r.sweep) {
    if (looked.armed && is_among(ended, looked.where)) {
      r.places[looked.where.source].queue->buses[looked.where.bus].clean = looked.mark;
    }
  }
  // The next read of the same reader finds the keys watched and need not be repeated.
  if (served) {
    for (const reader::place& p : r.places) {
      for (std::size_t b = 0; b < buses_.size(); ++b) {
        const auto bus = static_cast<bus_index>(b);
        const bool has_it = p.queue->only == command::no_bus || p.queue->only == bus;
        if (has_it && !(r.in_order && fronts(bus))) arm(*p.queue->key, bus);
      }
    }
  }
  remove(*found->second, now);
}

bool parked_reads::unblock(reader_id id, base::time_point now) {
  if (!readers_.contains(id) || looks(id)) return false;
  leave(id, false, {}, now);
  return true;
}

bool parked_reads::looks(reader_id id) const {
  const auto found = readers_.find(id);
  return found != readers_.end() && found->second->sweeping();
}

void parked_reads::remove(reader& r, base::time_point now) {
  if (r.deadline) deadlines_.erase({*r.deadline, r.id});
  if (r.wake) wakes_.erase({*r.wake, r.id});
  // A reader may have named one key twice, so its queues are looked at when it has left all of them.
  std::vector<queue*> left;
  for (const reader::place& p : r.places) {
    p.queue->readers.erase(p.position);
    p.queue->key->used = now;
    if (std::find(left.begin(), left.end(), p.queue) == left.end()) left.push_back(p.queue);
  }
  readers_.erase(r.id);
  for (queue* const q : left) {
    if (!q->readers.empty()) {
      evaluate(*q->readers.front(), now);
    } else if (q->group) {
      q->key->groups.erase(q->key->groups.find(*q->group));
    } else {
      q->key->singles.erase(q->self);
    }
  }
}

// ------------------------------------------------------------------------------------------------- deciding

bool parked_reads::is_clean(const queue& q, bus_index bus) const {
  const key_state::bus_part& part = q.key->buses[bus];
  return buses_[bus].watched && part.watch.covers(true) && q.buses[bus].clean == part.mark;
}

void parked_reads::wake_at(base::time_point when, reader& r) {
  if (r.wake && *r.wake <= when) return;
  if (r.wake) wakes_.erase({*r.wake, r.id});
  r.wake = when;
  wakes_.emplace(when, r.id);
}

// The reader looks wherever it is the first and something may be. A bus that is not watched yet is armed
// first, so that looking settles it, unless something has been announced there: then the reader looks at
// once. Nothing has to be awaited where the arming travels in front of the read.
void parked_reads::evaluate(reader& r, base::time_point now) {
  if (r.sweeping() || r.is_due(now)) return;
  action sweep{.what = action::kind::sweep, .key = {}, .reader = r.id, .targets = {}};
  for (std::uint32_t i = 0; i < r.places.size(); ++i) {
    queue& q = *r.places[i].queue;
    if (q.readers.front() != &r) continue;
    for (std::size_t b = 0; b < buses_.size(); ++b) {
      const auto bus = static_cast<bus_index>(b);
      if ((q.only != command::no_bus && q.only != bus) || !buses_[b].up || is_clean(q, bus)) continue;
      if (q.group && !buses_[b].groups) continue;
      key_state::bus_part& key = q.key->buses[b];
      queue::bus_part& part = q.buses[b];
      const bool in_front = r.in_order && fronts(bus);
      if (!in_front) arm(*q.key, bus);
      const bool announced = part.swept != key.mark;
      const bool settled = in_front || key.watch.covers(false);
      const bool own = announced && key.why == cause::local;
      const base::time_point not_before = std::max(part.not_before, own ? now : buses_[b].settled);
      if (not_before > now) {
        wake_at(not_before, r);
        continue;
      }
      if (!announced && !settled && buses_[b].watched) continue;
      if (announced && key.why != cause::none &&
          (sweep.because == cause::none || key.touched < sweep.since)) {
        sweep.because = key.why;
        sweep.since = key.touched;
      }
      part.swept = key.mark;
      if (!buses_[b].watched) part.not_before = now + unwatched_interval;
      sweep.targets.push_back({i, bus, part.clean < key.news});
      r.sweep.push_back({{i, bus}, settled && !in_front, key.mark});  // or else sent() says so
    }
  }
  if (!sweep.targets.empty()) actions_.push_back(std::move(sweep));
}

void parked_reads::evaluate_heads(key_state& key, base::time_point now) {
  for (auto& [group, q] : key.groups) evaluate(*q->readers.front(), now);
  for (auto& q : key.singles) evaluate(*q->readers.front(), now);
}

void parked_reads::evaluate_all(base::time_point now) {
  for (auto& [name, key] : keys_) evaluate_heads(*key, now);
}

void parked_reads::advance(base::time_point now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    reader& r = *readers_.at(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    if (r.sweeping()) continue;  // what it is about to find is its own
    actions_.push_back({.what = action::kind::expire, .key = {}, .reader = r.id, .targets = {}});
    remove(r, now);
  }
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    reader& r = *readers_.at(wakes_.begin()->second);
    wakes_.erase(wakes_.begin());
    r.wake.reset();
    evaluate(r, now);
  }
  if (now < next_clean_up_) return;
  next_clean_up_ = now + keep_key / 4;
  forget(now - keep_key);
}

void parked_reads::forget(base::time_point since) {
  std::erase_if(keys_, [&](const auto& entry) {
    const key_state& key = *entry.second;
    if (key.waited_for() || key.used > since) return false;
    key_bytes_ -= key.bytes();
    keys_by_number_.erase(key.number);
    return true;
  });
  // If all are needed, the next look at all of them is far away.
  most_key_bytes_ = std::max(keep_bytes, 2 * key_bytes_);
}

std::optional<base::time_point> parked_reads::next_time() const {
  std::optional<base::time_point> next;
  if (!deadlines_.empty()) next = deadlines_.begin()->first;
  if (!wakes_.empty() && (!next || wakes_.begin()->first < *next)) next = wakes_.begin()->first;
  return next;
}

}  // namespace dualbus::stream
