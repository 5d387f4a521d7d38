#include <dualbus/backend/relocation.hpp>

#include <algorithm>

namespace dualbus::backend {
namespace {

bool is_up(const link& l) {
  return l.socket.state() == metrics::connection_state::up;
}

// A place that is no master yet is tried again.
bool leads_to_a_master(link& l, base::time_point now) {
  if (!is_up(l)) return false;
  if (l.socket.role() == "master") return true;
  l.socket.drop("is no master", now);
  return false;
}

}  // namespace

// In a failover the old place confirms nothing any more.
bool relocation::may_leave(const link& l) const {
  return l.socket.between_requests() ||
         (why_ == moving::planned && l.heir != nullptr && l.heir->takes_debts());
}

relocation::relocation(const link_environment& with, const config::bus_settings& to, moving why)
    : to_(to),
      why_(why),
      environment_{with.io, with.poller, with.pool, with.settings, to_, with.requests, with.name, unseen_,
                   // In a failover the new place may not be a master yet, time and again.
                   why == moving::planned ? log_of::failures : log_of::nothing} {}

relocation::~relocation() {
  const auto now = base::clock::now();
  hold({}, false, now);
  for (const move& m : moves_) m.fresh->socket.stop(now);
}

link* relocation::fresh_for(const link& of) const {
  const auto found = std::find_if(moves_.begin(), moves_.end(), [&](const move& m) { return m.of == &of; });
  return found == moves_.end() ? nullptr : found->fresh.get();
}

void relocation::hold(const std::vector<link*>& links, bool on, base::time_point now) {
  for (link* const l : held_) l->socket.hold(false);
  held_ = links;
  for (link* const l : held_) l->socket.hold(true);
  if (on && !holding_) hold_until_ = now + (why_ == moving::planned ? longest_hold : longest_wait);
  holding_ = on;
}

bool relocation::ready(const std::vector<link*>& links, base::time_point now) {
  bool all_fresh = true, nothing_owed = true;
  for (link* const l : links) {
    if (!is_up(*l)) continue;  // it connects to the new place when the time has come
    if (fresh_for(*l) == nullptr) {
      moves_.push_back({l, std::make_unique<link>(environment_, l->version, l->database)});
      moves_.back().fresh->socket.start(now);
    }
    all_fresh &= leads_to_a_master(*fresh_for(*l), now);
    nothing_owed &= may_leave(*l);
  }
  if (why_ == moving::failover) {
    hold(links, true, now);
    return nothing_owed || now >= hold_until_;
  }
  if (!all_fresh || now < next_hold_) {
    hold({}, false, now);
    return false;
  }
  hold(links, true, now);
  if (nothing_owed) return true;
  if (now < hold_until_) return false;
  hold({}, false, now);
  next_hold_ = now + between_holds;
  return false;
}

void relocation::change_over(const std::vector<link*>& links, base::time_point now) {
  hold({}, false, now);
  for (link* const l : links) {
    const auto m = std::find_if(moves_.begin(), moves_.end(), [l](const move& each) { return each.of == l; });
    const bool goes_on = m != moves_.end() && is_up(*l) && is_up(*m->fresh) && may_leave(*l);
    if (goes_on && why_ == moving::planned && l->heir != nullptr) l->heir->take_connection(*l, now);
    goes_on ? l->socket.take_over(m->fresh->socket, now) : l->socket.reconnect(now);
  }
}

void relocation::tick(base::time_point now) {
  for (const move& m : moves_) m.fresh->socket.tick(now, false);
}

}  // namespace dualbus::backend
