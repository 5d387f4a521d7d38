#include <dualbus/session/parking_lot.hpp>
#include <dualbus/session/worker_context.hpp>

#include <utility>

namespace dualbus::session {
namespace {

// A fleet that reads reads again soon.
constexpr std::chrono::seconds keep_watching{60};
// How long a bus's watcher may be without an answer until new reads pass the bus over.
constexpr std::chrono::milliseconds give_up_reading{1000};

}  // namespace

parking_lot::parking_lot(worker_context& context)
    : context_(context), reads_(context.configuration().buses.size()) {}

void parking_lot::add_bus(const backend::link_environment& environment) {
  const auto bus = static_cast<command::bus_index>(watchers_.size());
  watchers_.push_back(
      std::make_unique<backend::watcher>(environment, bus, static_cast<backend::watcher::listener&>(*this)));
  buses_.emplace_back();
}

// Readers come back here while they are told; what that brings about is done in the same loop.
void parking_lot::settle() {
  for (auto actions = reads_.take_actions(); !actions.empty(); actions = reads_.take_actions()) {
    for (const auto& what : actions) {
      using kind = stream::parked_reads::action::kind;
      if (what.what == kind::arm) {
        // A watcher that has just been lost has said so, or will: then the key counts as not watched.
        if (is_resting(what.bus)) {
          reads_.armed(what.bus, what.key, context_.now);
        } else if (watchers_[what.bus]->up()) {
          watchers_[what.bus]->arm(what.key, context_.now);
        }
        continue;
      }
      const auto found = readers_.find(what.reader);
      if (found == readers_.end()) continue;
      parked_reader& reader = *found->second;
      if (what.what == kind::expire) {
        readers_.erase(found);
        reader.on_expire();
      } else {
        for (const target& t : what.targets) ++context_.metrics.buses[t.bus].wakes;
        reader.on_wake(what.targets, {what.because, what.since});
      }
    }
  }
  set_timer();
}

void parking_lot::set_timer() {
  const auto next = reads_.next_time();
  if (timer_ && next && timer_->first == *next) return;
  if (timer_) context_.timers.cancel(*std::exchange(timer_, std::nullopt));
  if (!next) return;
  timer_ = context_.timers.add(*next, [this] {
    timer_.reset();
    reads_.advance(context_.now);
  });
}

// ------------------------------------------------------------------------------------------------- readers

parking_lot::sightings parking_lot::look(std::string_view key) {
  return reads_.look(key, context_.now);
}

parking_lot::sightings parking_lot::watch(std::string_view key, command::bus_index only) {
  start_watchers();
  return reads_.watch({key, only}, context_.now);
}

std::uint64_t parking_lot::ping(command::bus_index bus) {
  return watchers_[bus]->up() ? watchers_[bus]->confirm(context_.now) : 0;
}

void parking_lot::start_watchers() {
  last_used_ = context_.now;
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    if (!is_resting(static_cast<command::bus_index>(i))) watchers_[i]->start(context_.now);
  }
}

void parking_lot::set_resting(stream::bus_set buses) {
  const stream::bus_set changed = buses ^ std::exchange(resting_, buses);
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    if ((changed >> i & 1) == 0) continue;
    const auto bus = static_cast<command::bus_index>(i);
    watchers_[i]->stop(context_.now);
    // What was known ends in either case; then it is asked once more.
    reads_.watcher_down(bus, context_.now);
    context_.polls().on_watcher_down(bus);
    if (is_resting(bus)) reads_.watcher_up(bus, context_.now);
  }
  if (changed != 0 && !readers_.empty()) start_watchers();
}

parking_lot::reader_id parking_lot::park(parked_reader& reader, const std::vector<source>& sources,
                                         std::optional<std::string_view> group,
                                         const std::vector<sightings>& seen,
                                         std::optional<base::time_point> deadline) {
  start_watchers();
  const reader_id id = reads_.park(sources, group, seen, deadline, context_.now);
  readers_.emplace(id, &reader);
  return id;
}

void parking_lot::swept(reader_id reader, const std::vector<target>& failed,
                        std::optional<base::time_point> again) {
  reads_.swept(reader, failed, again, context_.now);
}

void parking_lot::leave(reader_id reader, bool served) {
  readers_.erase(reader);
  reads_.leave(reader, served, context_.now);
}

bool parking_lot::unblock(reader_id reader) {
  if (!reads_.unblock(reader, context_.now)) return false;
  readers_.erase(reader);
  return true;
}

// ------------------------------------------------------------------------------------------------- writers

void parking_lot::added(command::bus_index bus, std::uint32_t key) {
  reads_.added(bus, key, context_.now);
}

void parking_lot::groups_changed(std::string_view key) {
  reads_.groups_changed(key, context_.now);
}

// ------------------------------------------------------------------------------------------------ watchers

void parking_lot::on_watcher_up(command::bus_index bus) {
  reads_.watcher_up(bus, context_.now);
}

void parking_lot::on_watcher_down(command::bus_index bus) {
  // Otherwise everybody who waits would ask a bus that does not answer.
  if (watchers_[bus]->hung()) {
    buses_[bus].up = false;
    reads_.bus_down(bus);
  }
  reads_.watcher_down(bus, context_.now);
  context_.polls().on_watcher_down(bus);
}

void parking_lot::on_armed(command::bus_index bus, std::string_view key) {
  reads_.armed(bus, key, context_.now);
}

void parking_lot::on_changed(command::bus_index bus, std::string_view key) {
  reads_.changed(bus, key, context_.now);
  context_.polls().on_changed(key);
}

void parking_lot::on_pong(command::bus_index bus, std::uint64_t number) {
  context_.polls().on_pong(bus, number);
}

void parking_lot::on_all_changed(command::bus_index bus) {
  // Redis has forgotten all keys, too.
  reads_.watcher_down(bus, context_.now);
  reads_.watcher_up(bus, context_.now);
}

void parking_lot::on_groups_changed(command::bus_index bus) {
  reads_.recheck(bus, context_.now);
}

// -------------------------------------------------------------------------------------------------- the turn

void parking_lot::flush(base::time_point now) {
  for (auto& w : watchers_) w->flush(now);
}

void parking_lot::tick(base::time_point now) {
  set_resting(context_.daemon.resting_buses.load(std::memory_order_relaxed));
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    bus_state& known = buses_[i];
    watchers_[i]->tick(now);
    // Those who wait need not ask what cannot be watched for now; whoever comes does a little longer.
    const bool up = usable(bus) && !watchers_[i]->hung();
    // Another connection is as good as an outage that was too short to be seen.
    const std::uint64_t connection = context_.bus(bus).connection_number();
    const bool anew = std::exchange(known.connection, connection) != connection && up;
    if (up != known.up || anew) {
      known.up = up;
      up ? reads_.bus_up(bus, now) : reads_.bus_down(bus);
    }
    if (const bool groups = context_.bus(bus).health().serves_group_reads(); groups != known.groups) {
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
  const bool hung = watcher.hung() && context_.now - watcher.hung_since() >= give_up_reading;
  const backend::bus& asked = context_.bus(bus);
  return asked.responsive(context_.now) && asked.health().serves_reads() && !hung;
}

bool parking_lot::serves_groups(command::bus_index bus) const {
  return usable(bus) && context_.bus(bus).health().serves_group_reads();
}

void parking_lot::stop(base::time_point now) {
  for (std::size_t i = 0; i < watchers_.size(); ++i) {
    if (!watchers_[i]->started()) continue;
    watchers_[i]->stop(now);
    reads_.watcher_down(static_cast<command::bus_index>(i), now);
  }
}

}  // namespace dualbus::session
