#include <dualbus/backend/dedicated_pool.hpp>

#include <algorithm>

namespace dualbus::backend {
namespace {

// A reader comes again within a second or so; a connection that nobody has wanted for this long is closed.
constexpr std::chrono::seconds keep_idle{30};

}  // namespace

dedicated_pool::dedicated_pool(const link_environment& environment)
    : environment_{environment.io,     environment.poller, environment.pool, settings_,
                   environment.target, requests_,          environment.name, environment.metrics},
      shared_(environment) {}

link* dedicated_pool::borrow(resp::protocol version, int database, std::size_t limit, base::time_point now) {
  // Reloads change the shared settings; here an answer may take any time, and silence means nothing.
  requests_ = shared_.requests;
  requests_.request_timeout = {};
  settings_ = shared_.settings;
  settings_.health_timeout = {};
  const auto busy = std::count_if(entries_.begin(), entries_.end(), [](const entry& e) { return e.busy; });
  if (static_cast<std::size_t>(busy) >= limit) return nullptr;
  for (entry& e : entries_) {
    if (e.busy || e.doomed || !e.link->requests.idle()) continue;
    if (e.link->version != version || e.link->database != database) continue;
    e.busy = true;
    return e.link.get();
  }
  entries_.push_back({std::make_unique<link>(environment_, version, database), true, false, false, now});
  link& made = *entries_.back().link;
  made.socket.start(now);
  return &made;
}

void dedicated_pool::release(link& used, bool reusable, base::time_point now) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const entry& e) { return e.link.get() == &used; });
  found->busy = false;
  used.requests.set_outlasting(true);
  found->idle_since = now;
  // Closed and freed in flush(): this may be a callback of the link itself.
  found->doomed = !reusable || found->outdated;
}

void dedicated_pool::stop(base::time_point now) {
  for (entry& e : entries_) e.link->socket.stop(now);
}

void dedicated_pool::renew(base::time_point now) {
  for (entry& e : entries_) {
    // What waits for a connection gets one at once.
    if (e.busy && e.link->socket.state() != metrics::connection_state::up) {
      e.link->socket.reconnect(now);
    } else {
      e.outdated = true;
      e.doomed |= !e.busy;
    }
  }
}

bool dedicated_pool::delivered() const {
  return std::all_of(entries_.begin(), entries_.end(),
                     [](const entry& e) { return e.link->socket.delivered(); });
}

void dedicated_pool::flush(base::time_point now) {
  for (entry& e : entries_) {
    if (e.doomed) {
      e.link->socket.stop(now);
    } else if (e.link->requests.unsent_bytes() > 0) {
      e.link->socket.flush(now);
    }
  }
  std::erase_if(entries_, [](const entry& e) { return e.doomed; });
}

void dedicated_pool::tick(base::time_point now) {
  for (entry& e : entries_) {
    // A marker behind a request that waits would wait as long, and within MULTI it would be queued. A missing
    // reply harms this one client only, who waits as long as its request may take; then the link is closed.
    e.link->socket.tick(now, !e.busy);
    e.link->requests.tick(now);
    if (e.busy) continue;
    const auto owed_since = e.link->requests.oldest_sent();  // the marker
    const bool dead = owed_since && now - *owed_since >= shared_.settings.health_timeout;
    if (dead || now - e.idle_since >= keep_idle) e.doomed = true;
  }
}

void dedicated_pool::observe(metrics::bus_metrics& out) const {
  for (const entry& e : entries_) {
    ++out.connections[static_cast<std::size_t>(e.link->socket.state())];
    out.in_flight += e.link->requests.in_flight();
    out.waiting += e.link->requests.waiting();
  }
}

}  // namespace dualbus::backend
