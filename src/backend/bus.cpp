#include <dualbus/backend/bus.hpp>
#include <dualbus/base/log.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::backend {
namespace {

// Forks, slow commands and a busy machine stop a healthy Redis for less than this.
constexpr std::chrono::milliseconds patience{1000};

// From one renewal of all connections to the next one, at most.
constexpr std::chrono::milliseconds most_renewal_delay{30'000};

// Clients go on using the database that they use; a connection that nobody has used for this long is closed.
constexpr std::chrono::seconds keep_database{60};

// This many bytes are worth a write of their own.
constexpr std::size_t enough_to_write = 64 << 10;

}  // namespace

bus::bus(link_environment environment)
    : environment_(std::move(environment)), dedicated_(environment_), durable_(environment_) {
  shared_[0] = std::make_unique<link>(environment_, resp::protocol::resp2);
}

void bus::start(base::time_point now) {
  shared_[0]->socket.start(now);
  durable_.start(now);
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
  relocation_.reset();
  scout_.stop(now);
  each_link([now](link& l) { l.socket.stop(now); });
  dedicated_.stop(now);
  durable_.stop(now);
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
  bool all = dedicated_.delivered() && durable_.delivered();
  each_link([&all](const link& l) { all &= l.socket.delivered(); });
  return all;
}

std::vector<pipeline::incoming> bus::receiving() const {
  std::vector<pipeline::incoming> replies;
  each_link([&replies](const link& l) { replies.push_back(l.requests.receiving()); });
  durable_.receiving(replies);
  return replies;
}

void bus::drop_large_unneeded() {
  each_link([](link& l) { l.requests.drop_large_unneeded(); });
  durable_.drop_large_unneeded();
}

bool bus::holds_back() const {
  bool any = durable_.holds_back();
  each_link([&any](const link& l) { any |= l.requests.holds_back(); });
  return any;
}

metrics::bus_state bus::state(base::time_point now) const {
  if (!up()) return metrics::bus_state::disconnected;
  return responsive(now) ? health_.state() : metrics::bus_state::silent;
}

// ------------------------------------------------------------------------------------------------- health

void bus::on_probe(std::string_view reply) {
  if (!health_.on_probe(reply)) return;
  const std::string_view text = bus_state_text(health_.state());
  if (health_.state() == metrics::bus_state::up) {
    base::info_limited(name(), "bus '{}': {} {} again", name(), environment_.target.endpoint, text);
  } else {
    base::warn_limited(name(), "bus '{}': {} {}{}", name(), environment_.target.endpoint, text,
                       health_.needs_other_server() ? "; looking for another server at this address" : "");
  }
}

void bus::watch_health(base::time_point now) {
  link& asked = *shared_[0];
  const std::uint64_t connection = up() ? asked.requests.connection_number() : 0;
  if (connection != std::exchange(known_connection_, connection)) {
    health_.forget();
    if (connection != 0 && asked.socket.role() != "master") health_.doubt();
  }
  if (connection != 0 && health_.probe_due(now)) {
    health_.probe_sent(now);
    asked.requests.begin().append(bus_health::probe);
    asked.requests.end(prober_, 0, now);
  }
  const bool lost_its_way =
      connection != 0 && health_.needs_other_server() && now >= next_renewal_ && !relocation_;
  if (scout_.tick(lost_its_way, now)) go_to_the_master(now);
}

void bus::go_to_the_master(base::time_point now) {
  base::info_limited(name(), "bus '{}': another server at {} is the master: connections are renewed", name(),
                     environment_.target.endpoint);
  // A name may lead to the master now and to a replica later.
  if (now >= next_renewal_ + most_renewal_delay) renewal_delay_ = {};
  renewal_delay_ = std::clamp<std::chrono::milliseconds>(2 * renewal_delay_, patience, most_renewal_delay);
  next_renewal_ = now + renewal_delay_;
  renew(renewed::server, now);
}

// ----------------------------------------------------------------------------------------------- renewals

void bus::renew_login(base::time_point now) {
  base::info_limited(name(), "bus '{}': its login has changed: connections are renewed", name());
  renew(renewed::login, now);
}

void bus::renew(renewed because_of, base::time_point now) {
  renewals_.clear();
  renewing_ = std::max(renewing_, because_of);
  each_link([&](link& l) {
    if (l.socket.state() == metrics::connection_state::up) {
      renewals_.push_back(std::make_unique<renewal>(environment_, l, now));
    } else {
      l.socket.reconnect(now);
    }
  });
  run_renewals(now);
}

void bus::run_renewals(base::time_point now) {
  std::erase_if(renewals_, [now](const auto& r) { return r->run(now); });
  if (!renewals_.empty()) return;
  dedicated_.renew(now);
  durable_.renew(now);
  renewed_ = std::exchange(renewing_, renewed::no);
}

// ------------------------------------------------------------------------------------------------- place

std::vector<link*> bus::links() {
  std::vector<link*> all;
  each_link([&all](link& l) { all.push_back(&l); });
  durable_.add_links(all);
  return all;
}

void bus::set_place(const config::bus_settings& wanted, moving why, base::time_point now) {
  config::bus_settings& here = environment_.target;
  here.acknowledge = wanted.acknowledge;
  if (config::same_place(here, wanted)) {
    if (relocation_) base::info_limited(name(), "bus '{}': stays at {}", name(), here.endpoint);
    relocation_.reset();
    const bool same_login = here.username == wanted.username && here.password == wanted.password;
    here = wanted;
    if (!same_login) renew_login(now);
    return;
  }
  if (relocation_ && relocation_->why() == why && config::same_place(relocation_->place(), wanted))
    return relocation_->update(wanted);
  base::info_limited(name(), "bus '{}': moves from {} to {}", name(), here.endpoint, wanted.endpoint);
  move(wanted, why, now);
}

void bus::move(const config::bus_settings& to, moving why, base::time_point now) {
  renewals_.clear();
  relocation_ = std::make_unique<relocation>(environment_, to, why);
  run_relocation(now);
}

void bus::watch_name(base::time_point now) {
  if (!up() || relocation_) return;
  const boost::asio::ip::address& peer = shared_[0]->socket.peer();
  if (!names_.tick(environment_.settings.resolve_interval, peer, now)) return;
  base::info_limited(name(), "bus '{}': {} does not lead to {} any more: it moves", name(),
                     environment_.target.endpoint, peer.to_string());
  move(environment_.target, moving::planned, now);
}

void bus::run_relocation(base::time_point now) {
  const std::vector<link*> all = links();
  if (!relocation_->ready(all, now)) return;
  const std::unique_ptr<relocation> done = std::move(relocation_);
  const bool planned = done->why() == moving::planned;
  former_place* const left = planned ? dedicated_.leave(shared_[0]->socket) : nullptr;
  environment_.target = done->place();
  scout_.stop(now);
  next_renewal_ = {};
  renewal_delay_ = {};
  if (told_of_place_) told_of_place_(*this);
  shared_[0]->heir = left;
  done->change_over(all, now);
  shared_[0]->heir = nullptr;
  if (left != nullptr) left->begin(now);
  // What waits at a master of before, such as BLPOP, would wait in vain; and nobody can tell it to end.
  dedicated_.renew(now, !planned);
  if (left != nullptr && told_to_follow_) told_to_follow_(*this);
  base::info_limited(name(), "bus '{}': is at {} now", name(), environment_.target.endpoint);
}

void bus::give_up(reply_sink& sink, base::time_point now) {
  each_link([&](link& l) {
    l.requests.give_up(sink);
    l.socket.end_undelivered(now);
  });
  durable_.give_up(sink, now);
}

void bus::drop_unannounced() {
  each_link([](link& l) { l.requests.drop_unannounced(); });
  dedicated_.drop_unannounced();
  durable_.drop_unannounced();
}

void bus::flush(base::time_point now) {
  if (relocation_) [[unlikely]] {
    dedicated_.flush(now);  // what was begun before the move belongs to the old place
    run_relocation(now);
  }
  if (!renewals_.empty()) [[unlikely]]
    run_renewals(now);
  bool congested = false;
  if (!durable_.empty()) [[unlikely]] {
    durable_.flush(now);
    congested = durable_.congested();
  }
  // A client that begins to wait and another one that ends its wait are often heard in one turn.
  dedicated_.flush(now);
  next_write_.reset();
  each_link([&](link& l) {
    const std::size_t unsent = l.requests.unsent_bytes();
    if (unsent > 0 && (now >= l.next_write || unsent >= enough_to_write)) {
      l.socket.flush(now);
      if (l.requests.unsent_bytes() == 0) l.next_write = now + environment_.target.coalesce;
    } else if (unsent > 0) {
      next_write_ = std::min(next_write_.value_or(l.next_write), l.next_write);
    }
    congested |= l.requests.congested();
  });
  if (!congested && !drained_.empty()) [[unlikely]]
    drained_.on_drained();
}

void bus::tick(base::time_point now) {
  for (const auto& r : renewals_) r->tick(now);
  if (relocation_) relocation_->tick(now);
  each_link([now](link& l) {
    l.socket.tick(now);
    l.requests.tick(now);
  });
  watch_health(now);
  watch_name(now);
  std::erase_if(databases_, [this, now](database_link& d) {
    if (now - d.last_used < keep_database || !d.link->requests.idle() || !renewals_.empty() || relocation_)
      return false;
    d.link->socket.stop(now);
    return true;
  });
  dedicated_.tick(now);
  durable_.tick(now, relocation_ != nullptr);
}

void bus::observe(metrics::bus_metrics& out) const {
  each_link([&out](const link& l) {
    ++out.connections[static_cast<std::size_t>(l.socket.state())];
    out.waiting += l.requests.waiting();
    out.in_flight += l.requests.in_flight();
    out.abandoned += l.requests.abandoned();
  });
  dedicated_.observe(out);
  durable_.observe(out);
}

}  // namespace dualbus::backend
