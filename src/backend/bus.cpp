#include <dualbus/backend/bus.hpp>

#include <utility>

namespace dualbus::backend {
namespace {

// Forks and slow commands stop a healthy Redis for less than this, and a busy machine does.
constexpr std::chrono::milliseconds patience{1000};

// Who uses another database goes on using it; a connection that nobody has used for this long is closed.
constexpr std::chrono::seconds keep_database{60};

}  // namespace

bus::bus(link_environment environment) : environment_(std::move(environment)), dedicated_(environment_) {
  shared_[0] = std::make_unique<link>(environment_, resp::protocol::resp2);
}

void bus::start(base::time_point now) {
  shared_[0]->socket.start(now);
}

template <typename Visit>
void bus::each_link(Visit&& visit) const {
  for (const auto& l : shared_) {
    if (l) visit(*l);
  }
  for (const database_link& d : databases_) visit(*d.link);
}

void bus::stop(base::time_point now) {
  renewals_.clear();
  each_link([now](link& l) { l.socket.stop(now); });
  dedicated_.stop(now);
}

void bus::open(std::unique_ptr<link>& made, resp::protocol version, base::time_point now) {
  made = std::make_unique<link>(environment_, version);
  made->socket.start(now);
}

pipeline& bus::of_database(resp::protocol version, int database, base::time_point now) {
  for (database_link& d : databases_) {
    if (d.link->database != database || d.link->version != version) continue;
    d.last_used = now;
    return d.link->requests;
  }
  databases_.push_back({std::make_unique<link>(environment_, version, database), now});
  databases_.back().link->socket.start(now);
  return databases_.back().link->requests;
}

bool bus::responsive(base::time_point now) const {
  if (!up()) return false;
  for (const auto& l : shared_) {
    if (!l) continue;
    for (const auto since : {l->requests.oldest_sent(), l->requests.stalled_since()}) {
      if (since && now - *since >= patience) return false;
    }
  }
  return true;
}

bool bus::delivered() const {
  bool all = dedicated_.delivered();
  each_link([&all](const link& l) { all &= l.socket.delivered(); });
  return all;
}

bool bus::holds_back() const {
  bool any = false;
  each_link([&any](const link& l) { any |= l.requests.holds_back(); });
  return any;
}

void bus::renew_login(base::time_point now) {
  spdlog::info("bus '{}': its login has changed: connections are renewed", name());
  renewals_.clear();
  each_link([&](link& l) {
    if (l.socket.state() == metrics::connection_state::up) {
      renewals_.push_back(std::make_unique<renewal>(environment_, l, now));
    } else {
      l.socket.reconnect(now);
    }
  });
  if (!renewals_.empty()) return;
  dedicated_.renew(now);
  renewed_ = true;
}

void bus::run_renewals(base::time_point now) {
  std::erase_if(renewals_, [now](const auto& r) { return r->run(now); });
  if (!renewals_.empty()) return;
  dedicated_.renew(now);
  renewed_ = true;
}

void bus::flush(base::time_point now) {
  if (!renewals_.empty()) [[unlikely]]
    run_renewals(now);
  bool congested = false;
  // Who begins to wait and who then does what ends the wait are often heard in one turn.
  dedicated_.flush(now);
  each_link([&](link& l) {
    if (l.requests.unsent_bytes() > 0) l.socket.flush(now);
    congested |= l.requests.congested();
  });
  while (!congested && !waiting_.empty()) {
    drain_listener* const next = waiting_.front();
    waiting_.pop_front();
    if (next->on_drained()) return;
  }
}

void bus::tick(base::time_point now) {
  for (const auto& r : renewals_) r->tick(now);
  each_link([now](link& l) {
    l.socket.tick(now);
    l.requests.tick(now);
  });
  std::erase_if(databases_, [this, now](database_link& d) {
    if (now - d.last_used < keep_database || !d.link->requests.idle() || !renewals_.empty()) return false;
    d.link->socket.stop(now);
    return true;
  });
  dedicated_.tick(now);
}

void bus::forget(drain_listener& listener) {
  std::erase(waiting_, &listener);
}

void bus::observe(metrics::bus_metrics& out) const {
  each_link([&out](const link& l) {
    ++out.connections[static_cast<std::size_t>(l.socket.state())];
    out.waiting += l.requests.waiting();
    out.in_flight += l.requests.in_flight();
    out.abandoned += l.requests.abandoned();
  });
  dedicated_.observe(out);
}

}  // namespace dualbus::backend
