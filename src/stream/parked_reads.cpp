#include <dualbus/stream/parked_reads.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::stream {

using command::bus_index;

/// One key: how far each bus watches it, and who waits for it.
struct parked_reads::key_state {
  enum class watch : std::uint8_t { disarmed, arming, armed };
  struct bus_part {
    watch state = watch::disarmed;
    cause why = cause::none;
    std::uint64_t mark = 0;  // of the last touch; unique
    std::uint64_t news = 0;  // of the last one after which entries may be there
    base::time_point touched{};
  };

  std::string name;
  std::uint32_t number = 0;
  std::vector<bus_part> buses;
  std::unordered_map<std::string, std::unique_ptr<queue>, string_hash, std::equal_to<>> groups;
  std::list<std::unique_ptr<queue>> singles;  // of readers without a group
  base::time_point used{};

  bool waited_for() const { return !groups.empty() || !singles.empty(); }
  /// About what it takes.
  std::size_t bytes() const { return 2 * name.size() + sizeof *this + buses.size() * sizeof(bus_part); }
};

/// Those who wait for one key in one group, the longest first; or one reader without a group.
struct parked_reads::queue {
  struct bus_part {
    std::uint64_t clean = 0;  // the key's mark at which a read found nothing; never a mark: unknown
    std::uint64_t swept = 0;  // the key's mark when somebody last looked
    base::time_point not_before{};
  };

  key_state* key = nullptr;
  std::optional<std::string> group;
  bus_index only = command::no_bus;
  std::vector<bus_part> buses;
  std::list<reader*> readers;
  std::list<std::unique_ptr<queue>>::iterator self;  // among the key's singles
};

struct parked_reads::reader {
  struct place {
    parked_reads::queue* queue;
    std::list<reader*>::iterator position;
  };
  struct look_out {
    target where;
    bool armed;
    std::uint64_t mark;
  };

  reader_id id = 0;
  std::vector<place> places;
  std::vector<look_out> sweep;  // what it looks at now
  std::optional<base::time_point> deadline, wake;

  bool sweeping() const { return !sweep.empty(); }
  bool is_due(base::time_point now) const { return deadline && *deadline <= now; }
};

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

parked_reads::sightings parked_reads::look(std::string_view key, base::time_point now) {
  const key_state& known = know(key, now);
  sightings result;
  result.reserve(known.buses.size());
  for (const auto& part : known.buses) {
    result.push_back({part.state == key_state::watch::armed, part.mark});
  }
  return result;
}

parked_reads::sightings parked_reads::watch(const source& what, base::time_point now) {
  sightings result = look(what.key, now);
  key_state& key = *find(what.key);
  for (std::size_t bus = 0; bus < buses_.size(); ++bus) {
    const bool has_it = what.only == command::no_bus || what.only == bus;
    if (has_it && buses_[bus].up) arm(key, static_cast<bus_index>(bus));
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
                                           std::optional<base::time_point> deadline, base::time_point now) {
  auto made = std::make_unique<reader>();
  reader& r = *made;
  r.id = ++last_reader_;
  r.deadline = deadline;
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
    const auto is_same = [&](const target& t) {
      return t.source == looked.where.source && t.bus == looked.where.bus;
    };
    queue::bus_part& part = r.places[looked.where.source].queue->buses[looked.where.bus];
    if (std::any_of(failed.begin(), failed.end(), is_same)) {
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

void parked_reads::leave(reader_id id, bool served, base::time_point now) {
  const auto found = readers_.find(id);
  if (found == readers_.end()) return;
  // The next read of the same reader finds the keys watched and need not be repeated.
  if (served) {
    for (const reader::place& p : found->second->places) {
      for (std::size_t bus = 0; bus < buses_.size(); ++bus) {
        if (p.queue->only == command::no_bus || p.queue->only == bus) {
          arm(*p.queue->key, static_cast<bus_index>(bus));
        }
      }
    }
  }
  remove(*found->second, now);
}

bool parked_reads::unblock(reader_id id, base::time_point now) {
  if (!readers_.contains(id) || looks(id)) return false;
  leave(id, false, now);
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

// ---------------------------------------------------------------------------------------------------- buses

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
    key->buses[bus].state = key_state::watch::disarmed;
    // Nobody looks at once: when the watcher is back, the key is armed first.
    for (auto& [group, q] : key->groups) q->buses[bus].swept = key->buses[bus].mark;
    for (auto& q : key->singles) q->buses[bus].swept = key->buses[bus].mark;
  }
  evaluate_all(now);
}

void parked_reads::armed(bus_index bus, std::string_view name, base::time_point now) {
  key_state* const key = find(name);
  if (key == nullptr || key->buses[bus].state != key_state::watch::arming) return;
  key->buses[bus].state = key_state::watch::armed;
  evaluate_heads(*key, now);
}

void parked_reads::changed(bus_index bus, std::string_view name, base::time_point now) {
  key_state* const key = find(name);
  if (key == nullptr) return;
  // A key that is being armed was asked for after the change that is announced now, or will announce it
  // again.
  if (key->buses[bus].state == key_state::watch::armed) key->buses[bus].state = key_state::watch::disarmed;
  touch(*key, bus, cause::notified, now);
  evaluate_heads(*key, now);
}

void parked_reads::added(bus_index bus, std::uint32_t number, base::time_point now) {
  const auto found = keys_by_number_.find(number);
  if (found == keys_by_number_.end()) return;
  touch(*found->second, bus, cause::local, now);
  evaluate_heads(*found->second, now);
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
  key_state::bus_part& part = key.buses[bus];
  if (!buses_[bus].watched || part.state != key_state::watch::disarmed) return;
  part.state = key_state::watch::arming;
  actions_.push_back({.what = action::kind::arm, .bus = bus, .key = key.name, .targets = {}});
}

// ------------------------------------------------------------------------------------------------- deciding

bool parked_reads::is_clean(const queue& q, bus_index bus) const {
  const key_state::bus_part& part = q.key->buses[bus];
  return buses_[bus].watched && part.state == key_state::watch::armed && q.buses[bus].clean == part.mark;
}

void parked_reads::wake_at(base::time_point when, reader& r) {
  if (r.wake && *r.wake <= when) return;
  if (r.wake) wakes_.erase({*r.wake, r.id});
  r.wake = when;
  wakes_.emplace(when, r.id);
}

// The reader looks wherever it is the first and something may be. A bus that is not watched yet is armed
// first, so that looking settles it, unless something has been announced there: then it looks at once.
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
      arm(*q.key, bus);
      const bool announced = part.swept != key.mark;
      const bool settled = key.state == key_state::watch::armed;
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
      r.sweep.push_back({{i, bus}, settled, key.mark});
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
