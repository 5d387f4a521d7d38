#include <dualbus/backend/dedicated_pool.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::backend {
namespace {

// A reader comes again within a second or so; a connection that nobody has wanted for this long is closed.
constexpr std::chrono::seconds keep_idle{30};

}  // namespace

/// A link, and the sink of the requests that undo what its last use has left behind.
struct dedicated_pool::entry final : reply_sink {
  entry(const link_environment& with, resp::protocol version, int database) : link(with, version, database) {}

  void on_reply(std::uint32_t, const reply_view& answer) override {
    doomed |= answer.bytes != "+OK\r\n";
    --undoing;
  }
  void on_failure(std::uint32_t, failure) override {
    doomed = true;
    undoing = 0;
  }
  bool abandoned() const override { return true; }

  backend::link link;
  purpose what_for = purpose::wait;
  bool busy = true, doomed = false;
  bool outdated = false;       // not to be used again
  former_place* at = nullptr;  // where it leads to, if the bus has left that
  std::uint32_t undoing = 0;   // answers to come
  base::time_point idle_since{};
};

dedicated_pool::dedicated_pool(const link_environment& environment)
    : environment_{environment.io,   environment.poller,  environment.pool,
                   settings_,        environment.target,  requests_,
                   environment.name, environment.metrics, log_of::failures},
      shared_(environment) {}

dedicated_pool::~dedicated_pool() = default;

std::size_t dedicated_pool::count(purpose what_for, bool undoing) const {
  return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [&](const auto& e) {
    return e->what_for == what_for && (undoing ? e->undoing > 0 : e->busy && e->at == nullptr);
  }));
}

link* dedicated_pool::borrow(purpose what_for, resp::protocol version, int database, std::size_t limit,
                             base::time_point now) {
  // Reloads change the shared settings; here an answer may take any time, and silence means nothing.
  requests_ = shared_.requests;
  requests_.request_timeout = {};
  settings_ = shared_.settings;
  settings_.health_timeout = {};
  if (count(what_for, false) >= limit) return nullptr;
  for (const auto& e : entries_) {
    if (e->busy || e->doomed || !e->link.requests.idle()) continue;
    if (e->link.version != version || e->link.database != database) continue;
    e->busy = true;
    e->what_for = what_for;
    return &e->link;
  }
  entry& made = *entries_.emplace_back(std::make_unique<entry>(environment_, version, database));
  made.what_for = what_for;
  made.link.socket.start(now);
  return &made.link;
}

dedicated_pool::entry& dedicated_pool::entry_of(const link& used) {
  return **std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return &e->link == &used; });
}

void dedicated_pool::release(link& used, bool reusable, base::time_point now) {
  entry& e = entry_of(used);
  e.busy = false;
  used.requests.set_outlasting(true);
  e.idle_since = now;
  // Closed and freed in flush(): this may be a callback of the link itself.
  e.doomed |= !reusable || e.outdated;
}

void dedicated_pool::release_after(link& used, std::string_view requests, std::uint32_t count_of_them,
                                   base::time_point now) {
  entry& e = entry_of(used);
  // As many links may be tidied up as may be in use: a bus that does not answer must not collect more.
  const std::size_t most = std::max<std::size_t>(shared_.settings.dedicated_connections, 1);
  if (!used.requests.connected() || e.outdated || count(e.what_for, true) >= most)
    return release(used, false, now);
  if (!used.requests.encode([requests](base::chunk_queue& out) { out.append(requests); }))
    return release(used, false, now);
  release(used, true, now);
  used.requests.set_outlasting(false);  // on another connection there is nothing to undo
  used.requests.end_block(e, count_of_them, now);
  e.undoing = count_of_them;
}

void dedicated_pool::stop(base::time_point now) {
  for (const auto& e : entries_) e->at = nullptr;
  former_.clear();
  for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i]->link.socket.stop(now);
}

void dedicated_pool::renew(base::time_point now, bool at_once) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entry& e = *entries_[i];
    // A request that waits for a connection gets one at once.
    if (e.busy && (at_once || e.link.socket.state() != metrics::connection_state::up)) {
      e.link.socket.reconnect(now);
    } else {
      e.outdated = true;
      e.doomed |= !e.busy;
    }
  }
}

former_place* dedicated_pool::leave(const connection& present) {
  former_place* left = nullptr;
  for (const auto& e : entries_) {
    if (!e->busy || e->at != nullptr || e->link.socket.state() != metrics::connection_state::up) continue;
    if (left == nullptr) left = former_.emplace_back(std::make_unique<former_place>(shared_, present)).get();
    e->at = left;
  }
  return left;
}

former_place* dedicated_pool::former_place_of(const link& used) {
  return entry_of(used).at;
}

bool dedicated_pool::delivered() const {
  return std::all_of(entries_.begin(), entries_.end(),
                     [](const auto& e) { return e->link.socket.delivered(); });
}

void dedicated_pool::drop_unannounced() {
  for (const auto& e : entries_) e->link.requests.drop_unannounced();
}

void dedicated_pool::flush_all(base::time_point now) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entry& e = *entries_[i];
    if (e.doomed && !e.busy) {
      e.link.socket.stop(now);
    } else if (e.link.requests.unsent_bytes() > 0) {
      e.link.socket.flush(now);
    }
  }
  std::erase_if(entries_, [](const auto& e) { return e->doomed && !e->busy; });
  for (const auto& place : former_) place->flush(now);
  std::erase_if(former_, [this](const auto& place) {
    const auto leads_there = [&place](const auto& e) { return e->at == place.get(); };
    return place->idle() && std::none_of(entries_.begin(), entries_.end(), leads_there);
  });
}

void dedicated_pool::tick(base::time_point now) {
  for (const auto& place : former_) place->tick(now);
  const auto patience = shared_.settings.health_timeout;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entry& e = *entries_[i];
    // A marker behind a request that waits would wait as long, and within MULTI it would be queued. A missing
    // reply harms this one client only, who waits as long as its request may take; then the link is closed.
    e.link.socket.tick(now, !e.busy && e.undoing == 0);
    e.link.requests.tick(now);
    if (e.busy) continue;
    const auto owed_since = e.link.requests.oldest_sent();  // the marker, or what undoes
    const bool dead = patience.count() > 0 && owed_since && now - *owed_since >= patience;
    if (dead || now - e.idle_since >= keep_idle) e.doomed = true;
  }
}

void dedicated_pool::observe(metrics::bus_metrics& out) const {
  for (const auto& e : entries_) {
    ++out.connections[static_cast<std::size_t>(e->link.socket.state())];
    out.in_flight += e->link.requests.in_flight();
    out.waiting += e->link.requests.waiting();
  }
}

}  // namespace dualbus::backend
