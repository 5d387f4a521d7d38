#include <dualbus/operation/parking_lot.hpp>

#include <new>
#include <utility>

namespace dualbus::operation {
namespace {

// Clients that have read will read again soon.
constexpr std::chrono::seconds keep_watching{60};
// New reads pass a bus over if its watcher has had no answer for so long.
constexpr std::chrono::milliseconds give_up_reading{1000};

}  // namespace

parking_lot::parking_lot(environment& environment, const std::atomic<stream::bus_set>& resting)
    : env_(environment), all_resting_(resting), reads_(environment.configuration().buses.size()) {}

void parking_lot::add_bus(const backend::link_environment& environment) {
  const auto bus = static_cast<command::bus_index>(watchers_.size());
  watchers_.push_back(
      std::make_unique<backend::watcher>(environment, bus, static_cast<backend::watcher::listener&>(*this)));
  armers_.push_back(std::make_unique<backend::read_armer>(
      env_.buses.bus(bus), bus, static_cast<backend::read_armer::listener&>(*this)));
  buses_.emplace_back();
}

// Readers call back while they are told; the actions that this adds are done in the same loop.
void parking_lot::settle() {
  for (auto actions = reads_.take_actions(); !actions.empty(); actions = reads_.take_actions()) {
    for (const auto& action : actions) {
      using kind = stream::parked_reads::action::kind;
      if (action.what == kind::arm) {
        // A watcher without a connection has reported that, or will: then the key counts as not watched.
        if (is_resting(action.bus)) {
          reads_.armed(action.bus, action.key, env_.turn.now);
        } else if (watchers_[action.bus]->up()) {
          watchers_[action.bus]->arm(action.key, env_.turn.now);
        }
        continue;
      }
      const auto found = readers_.find(action.reader);
      if (found == readers_.end()) continue;
      parked_reader& reader = *found->second;
      if (action.what == kind::expire) {
        readers_.erase(found);
        reader.on_expire();
      } else {
        for (const target& t : action.targets) ++env_.metrics.buses[t.bus].wakes;
        reader.on_wake(action.targets, {action.because, action.since});
      }
    }
  }
  set_timer();
}

void parking_lot::set_timer() {
  const auto next = reads_.next_time();
  if (timer_ && next && timer_->first == *next) return;
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (!next) return;
  timer_ = env_.turn.timers.add(*next, [this] {
    timer_.reset();
    reads_.advance(env_.turn.now);
  });
}

// ------------------------------------------------------------------------------------------------- readers

parking_lot::sightings parking_lot::look(std::string_view key, bool in_order) {
  return reads_.look(key, in_order, env_.turn.now);
}

parking_lot::sightings parking_lot::watch(std::string_view key, command::bus_index only, bool in_order) {
  start_watchers();
  for (std::size_t i = 0; i < armers_.size(); ++i)
    tick_armer(static_cast<command::bus_index>(i), env_.turn.now);
  return reads_.watch({key, only}, in_order, env_.turn.now);
}

bool parking_lot::reads_in_order(resp::protocol version, int database) {
  last_used_ = env_.turn.now;
  if (!version_ && database == 0) version_ = version;
  return in_order(version, database);
}

stream::parked_reads::sighting parking_lot::send(std::string_view key, command::bus_index bus,
                                                 bool in_order) {
  tick_armer(bus, env_.turn.now);
  const auto sending = reads_.send(key, bus, in_order, env_.turn.now);
  if (!sending.arm) return sending.seen;
  try {
    armers_[bus]->arm(key, sending.key, env_.turn.now);
  } catch (const std::bad_alloc&) {
    reads_.arming_answered(bus, sending.key, false, env_.turn.now);
    throw;
  }
  return sending.seen;
}

void parking_lot::sent(reader_id reader, target where, const stream::parked_reads::sighting& seen) {
  reads_.sent(reader, where, seen);
}

std::uint64_t parking_lot::ping(command::bus_index bus) {
  return watchers_[bus]->up() ? watchers_[bus]->confirm(env_.turn.now) : 0;
}

void parking_lot::start_watchers() {
  last_used_ = env_.turn.now;
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    if (!is_resting(static_cast<command::bus_index>(i))) watchers_[i]->start(env_.turn.now);
  }
}

void parking_lot::set_resting(stream::bus_set buses) {
  const stream::bus_set changed = buses ^ std::exchange(resting_, buses);
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    if ((changed >> i & 1) == 0) continue;
    const auto bus = static_cast<command::bus_index>(i);
    watchers_[i]->stop(env_.turn.now);
    // In either case the old knowledge ends, and the bus is asked once more.
    reads_.watcher_down(bus, env_.turn.now);
    listener_->on_watcher_down(bus);
    if (is_resting(bus)) reads_.watcher_up(bus, env_.turn.now);
  }
  if (changed != 0 && !readers_.empty()) start_watchers();
}

parking_lot::reader_id parking_lot::park(parked_reader& reader, const std::vector<source>& sources,
                                         std::optional<std::string_view> group,
                                         const std::vector<sightings>& seen,
                                         std::optional<base::time_point> deadline, bool in_order) {
  start_watchers();
  const reader_id id = reads_.park(sources, group, seen, deadline, in_order, env_.turn.now);
  readers_.emplace(id, &reader);
  return id;
}

void parking_lot::swept(reader_id reader, const std::vector<target>& failed,
                        std::optional<base::time_point> again) {
  reads_.swept(reader, failed, again, env_.turn.now);
}

void parking_lot::leave(reader_id reader, bool served, const std::vector<target>& ended) {
  readers_.erase(reader);
  reads_.leave(reader, served, ended, env_.turn.now);
}

bool parking_lot::unblock(reader_id reader) {
  if (!reads_.unblock(reader, env_.turn.now)) return false;
  readers_.erase(reader);
  return true;
}

// ------------------------------------------------------------------------------------------------- writers

void parking_lot::added(command::bus_index bus, std::uint32_t key, bool in_order) {
  reads_.added(bus, key, in_order, env_.turn.now);
}

void parking_lot::added_answered(command::bus_index bus, std::uint32_t key, bool done) {
  reads_.added_answered(bus, key, done, env_.turn.now);
}

void parking_lot::groups_changed(std::string_view key) {
  reads_.groups_changed(key, env_.turn.now);
}

// ------------------------------------------------------------------------------------------------ watchers

void parking_lot::on_watcher_up(command::bus_index bus) {
  reads_.watcher_up(bus, env_.turn.now);
  tick_armer(bus, env_.turn.now);
}

// In strict mode the watcher's connection confirms answers, so the armers rest: armings on their connection
// might be lost without notice.
void parking_lot::tick_armer(command::bus_index bus, base::time_point now) {
  const bool strict = env_.configuration().absorb.mode == config::absorb_mode::strict;
  armers_[bus]->tick(strict ? std::nullopt : version_, watchers_[bus]->client_id(), now);
}

void parking_lot::on_armer(command::bus_index bus, bool ready) {
  reads_.arms_in_front(bus, ready, env_.turn.now);
}

void parking_lot::on_armed_in_front(command::bus_index bus, std::uint32_t key, bool done) {
  reads_.arming_answered(bus, key, done, env_.turn.now);
}

void parking_lot::on_watcher_down(command::bus_index bus) {
  // Otherwise all waiting readers would ask a bus that does not answer.
  if (watchers_[bus]->hung()) {
    buses_[bus].up = false;
    reads_.bus_down(bus);
  }
  reads_.watcher_down(bus, env_.turn.now);
  tick_armer(bus, env_.turn.now);
  listener_->on_watcher_down(bus);
}

void parking_lot::on_armed(command::bus_index bus, std::string_view key) {
  reads_.armed(bus, key, env_.turn.now);
}

void parking_lot::on_changed(command::bus_index bus, std::string_view key) {
  reads_.changed(bus, key, env_.turn.now);
  listener_->on_changed(key);
}

void parking_lot::on_pong(command::bus_index bus, std::uint64_t number) {
  listener_->on_pong(bus, number);
}

void parking_lot::on_all_changed(command::bus_index bus) {
  // Redis has forgotten all keys, too.
  reads_.watcher_down(bus, env_.turn.now);
  reads_.watcher_up(bus, env_.turn.now);
}

void parking_lot::on_groups_changed(command::bus_index bus) {
  reads_.recheck(bus, env_.turn.now);
}

// -------------------------------------------------------------------------------------------------- the turn

void parking_lot::flush(base::time_point now) {
  for (auto& w : watchers_) w->flush(now);
}

void parking_lot::tick(base::time_point now) {
  set_resting(all_resting_.load(std::memory_order_relaxed));
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    bus_state& known = buses_[i];
    watchers_[i]->tick(now);
    tick_armer(bus, now);
    // Waiting readers need not ask a bus that cannot be watched for now; new ones still ask for a while.
    const bool up = usable(bus) && !watchers_[i]->hung();
    // Another connection is as good as an outage that was too short to be seen.
    const std::uint64_t connection = env_.buses.bus(bus).connection_number();
    const bool anew = std::exchange(known.connection, connection) != connection && up;
    if (up != known.up || anew) {
      known.up = up;
      up ? reads_.bus_up(bus, now) : reads_.bus_down(bus);
    }
    if (const bool groups = env_.buses.bus(bus).health().serves_group_reads(); groups != known.groups) {
      known.groups = groups;
      reads_.serves_groups(bus, groups, now);
    }
  }
  if (readers_.empty()) {
    if (now - last_used_ >= keep_watching) stop(now);
  } else {
    last_used_ = now;
  }
  reads_.advance(now);
}

bool parking_lot::usable(command::bus_index bus) const {
  const backend::watcher& watcher = *watchers_[bus];
  const bool hung = watcher.hung() && env_.turn.now - watcher.hung_since() >= give_up_reading;
  const backend::bus& asked = env_.buses.bus(bus);
  return asked.responsive(env_.turn.now) && asked.health().serves_reads() && !hung;
}

bool parking_lot::serves_groups(command::bus_index bus) const {
  return usable(bus) && env_.buses.bus(bus).health().serves_group_reads();
}

void parking_lot::stop(base::time_point now) {
  version_.reset();
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    if (!watchers_[i]->started()) continue;
    watchers_[i]->stop(now);
    reads_.watcher_down(static_cast<command::bus_index>(i), now);
    tick_armer(static_cast<command::bus_index>(i), now);
  }
}

}  // namespace dualbus::operation
