#include <dualbus/backend/watcher.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <utility>

namespace dualbus::backend {
namespace {

// The lines of INFO commandstats that count the commands which change groups or IDs without an announcement.
std::string group_changes(std::string_view info) {
  std::string lines;
  for (std::size_t begin = 0; begin < info.size();) {
    std::size_t end = info.find('\n', begin);
    if (end == std::string_view::npos) end = info.size();
    const std::string_view line = info.substr(begin, end - begin);
    for (const std::string_view name : {"cmdstat_xgroup", "cmdstat_xsetid", "cmdstat_swapdb"}) {
      // Only calls=… counts: the time spent would change with every look, were the command one of our own.
      if (line.starts_with(name)) lines += line.substr(0, line.find(','));
    }
    begin = end + 1;
  }
  return lines;
}

}  // namespace

watcher::watcher(const link_environment& environment, command::bus_index bus, listener& told)
    : environment_{environment.io,     environment.poller, environment.pool, settings_,
                   environment.target, requests_,          environment.name, unseen_},
      requests_(environment.requests),
      settings_(environment.settings),
      shared_(environment),
      bus_(bus),
      told_(told) {}

watcher::~watcher() {
  stop(base::clock::now());
}

void watcher::start(base::time_point now) {
  if (link_) return;
  settings_ = shared_.settings;
  // The watcher's own PING is stricter.
  settings_.health_timeout = {};
  requests_ = shared_.requests;
  requests_.request_timeout = {};
  link_ = std::make_unique<backend::link>(environment_, resp::protocol::resp3, 0,
                                          static_cast<pipeline_observer*>(this));
  link_->socket.start(now);
}

void watcher::stop(base::time_point now) {
  if (!link_) return;
  up_ = hung_ = false;
  next_try_.reset();
  link_->socket.stop(now);
  link_.reset();
}

void watcher::send(part request, resp::arguments args, base::time_point now) {
  resp::encoder(link_->requests.begin()).request(args);
  link_->requests.end(*this, request, now);
}

void watcher::arm(std::string_view key, base::time_point now) {
  const std::string_view args[] = {"EXISTS", key};
  arming_.emplace_back(key);
  send(exists, args, now);
}

void watcher::send_ping(base::time_point now) {
  const std::string number = std::to_string(++pings_);
  const std::string_view args[] = {"PING", number};
  send(ping, args, now);
  pinging_ = true;
  ping_sent_ = now;
  next_ping_ = now + ping_interval;
}

std::uint64_t watcher::confirm(base::time_point now) {
  if (!pinging_) {
    send_ping(now);
  } else if (ping_sent_ != now) {
    again_ = true;
    return pings_ + 1;
  }
  return pings_;
}

// ---------------------------------------------------------------------------------------- the connection

void watcher::ask_to_track(base::time_point now) {
  const std::string_view args[] = {"CLIENT", "TRACKING", "ON"};
  next_try_.reset();
  send(tracking, args, now);
}

void watcher::on_connected() {
  const auto now = base::clock::now();
  ask_to_track(now);
  pinging_ = false;
  useless_ = {};
  hung_ = false;
  next_ping_ = now + ping_interval;
  last_stats_.clear();
}

void watcher::on_disconnected() {
  // Requests that were not sent must not wait for the next connection: they would go before CLIENT TRACKING.
  link_->requests.give_up();
  arming_.clear();
  next_try_.reset();
  pinging_ = again_ = false;
  useless_ = {};
  if (std::exchange(up_, false)) told_.on_watcher_down(bus_);
}

// invalidate, and an array of keys; null for all of them.
void watcher::on_push(std::string_view push) {
  resp::reply_reader reader(push);
  reader.next();
  if (reader.next().text != "invalidate") return;
  const resp::reply_value keys = reader.next();
  if (keys.null) return told_.on_all_changed(bus_);
  for (std::size_t i = 0; i < keys.elements; ++i) told_.on_changed(bus_, reader.next().text);
}

// A reply that belongs to another request arms nothing and proves nothing.
bool watcher::fits(std::uint32_t request, const reply_view& reply) const {
  if (reply.is_error()) return true;
  switch (request) {
    case tracking:
      return reply.type == '+';
    case exists:
      return reply.type == ':';
    case ping:
      return judge_echo(reply.bytes, std::to_string(pings_)) != echo::wrong;
    default:
      return reply.type == '$' || reply.type == '=';
  }
}

void watcher::on_reply(std::uint32_t request, const reply_view& reply) {
  if (!useless_.empty()) return;
  if (!fits(request, reply)) {
    useless_ = "left out a reply or sent one too many";
    return;
  }
  switch (request) {
    case tracking:
      if (reply.is_error()) {
        // The bus may be busy with a script, or loading.
        next_try_ = base::clock::now() + recheck_interval;
        if (!std::exchange(refused_, true)) {
          base::warn_limited(
              environment_.name,
              "bus '{}': CLIENT TRACKING is refused ({}): readers that wait ask it every few milliseconds",
              environment_.name, base::in_log(reply.bytes.substr(1, reply.bytes.size() - 3), 200));
        }
        return;
      }
      refused_ = false;
      up_ = true;
      // Later figures are compared with these, so these come before anything is armed.
      ask_for_stats(base::clock::now());
      return told_.on_watcher_up(bus_);
    case exists: {
      const std::string key = std::move(arming_.front());
      arming_.pop_front();
      // An error (LOADING, BUSY, NOPERM) arms nothing. The connection is not closed here, in the midst of
      // reading.
      if (reply.is_error()) {
        useless_ = "does not let its keys be watched";
      } else {
        told_.on_armed(bus_, key);
      }
      return;
    }
    case ping:
      pinging_ = false;
      told_.on_pong(bus_, pings_);
      if (std::exchange(again_, false)) send_ping(base::clock::now());
      return;
    default:
      return read_stats(reply);
  }
}

void watcher::read_stats(const reply_view& reply) {
  if (reply.is_error()) return told_.on_groups_changed(bus_);
  std::string changes = "known" + group_changes(resp::reply_reader(reply.bytes).next().text);
  const bool first = last_stats_.empty();
  if (changes == last_stats_) return;
  last_stats_ = std::move(changes);
  if (!first) told_.on_groups_changed(bus_);
}

void watcher::on_failure(std::uint32_t request, failure) {
  if (request == ping) pinging_ = false;
}

void watcher::ask_for_stats(base::time_point now) {
  const std::string_view args[] = {"INFO", "commandstats"};
  send(stats, args, now);
  next_stats_ = now + recheck_interval;
}

void watcher::flush_link(base::time_point now) {
  if (!useless_.empty()) return link_->socket.drop(std::string(useless_), now);
  link_->socket.flush(now);
}

void watcher::tick(base::time_point now) {
  if (!link_) return;
  link_->socket.tick(now, false);
  link_->requests.tick(now);
  if (next_try_ && now >= *next_try_) {
    ask_to_track(now);
    flush(now);
  }
  if (!up_) return;
  if (pinging_ && now - ping_sent_ >= ping_timeout) {
    hung_ = true;
    return link_->socket.drop("announces nothing: its watcher's PING has no answer", now);
  }
  if (!pinging_ && now >= next_ping_) {
    send_ping(now);
  }
  if (now >= next_stats_) ask_for_stats(now);
  flush(now);
}

void watcher::observe(metrics::bus_metrics& out) const {
  if (link_) ++out.connections[static_cast<std::size_t>(link_->socket.state())];
}

}  // namespace dualbus::backend
