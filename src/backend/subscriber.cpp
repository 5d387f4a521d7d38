#include <dualbus/backend/subscriber.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <new>
#include <string>
#include <utility>

namespace dualbus::backend {
namespace {

constexpr std::string_view subscribing[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
constexpr std::string_view unsubscribing[] = {"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"};
constexpr std::string_view messages[] = {"message", "pmessage", "smessage"};

}  // namespace

subscriber::subscriber(const link_environment& environment, command::bus_index bus, listener& told)
    : environment_{environment.io,     environment.poller, environment.pool, environment.settings,
                   environment.target, requests_,          environment.name, unseen_},
      requests_(environment.requests),
      shared_(environment),
      bus_(bus),
      told_(told) {}

subscriber::~subscriber() {
  stop(base::clock::now());
}

void subscriber::start(base::time_point now) {
  if (link_) return;
  requests_ = shared_.requests;
  // The connection's health check finds out a bus that does not answer.
  requests_.request_timeout = {};
  link_ = std::make_unique<backend::link>(environment_, resp::protocol::resp3, 0,
                                          static_cast<pipeline_observer*>(this));
  link_->socket.start(now);
}

void subscriber::stop(base::time_point now) {
  if (!link_) return;
  up_ = false;
  link_->socket.stop(now);
  link_.reset();
}

void subscriber::send(std::string_view command, std::string_view name) {
  const std::string_view args[] = {command, name};
  base::chunk_queue& out = link_->requests.begin();
  last_begin_ = out.size();
  try {
    resp::encoder(out).request(args);
  } catch (const std::bad_alloc&) {
    take_back();
    throw;
  }
  open_ = true;
}

// What stands before it has no slot yet, so the pipeline would drop that, too.
void subscriber::take_back() {
  base::chunk_queue& out = link_->requests.begin();
  out.erase(last_begin_, out.size() - last_begin_);
}

void subscriber::subscribe(subscription kind, std::string_view name) {
  send(subscribing[static_cast<std::size_t>(kind)], name);
}

void subscriber::unsubscribe(subscription kind, std::string_view name) {
  send(unsubscribing[static_cast<std::size_t>(kind)], name);
}

// The PING's slot covers the bytes before it, which have none of their own.
void subscriber::close_batch(base::time_point now) {
  if (!std::exchange(open_, false)) return;
  const std::string number = std::to_string(++pings_);
  const std::string_view args[] = {"PING", number};
  resp::encoder(link_->requests.begin()).request(args);
  link_->requests.end(*this, 0, now);
}

// ---------------------------------------------------------------------------------------- the connection

void subscriber::on_connected() {
  up_ = true;
  refused_ = disordered_ = false;
  next_number_ = pings_ + 1;
  errors_ = 0;
  next_check_ = base::clock::now() + environment_.settings.health_interval;
  told_.on_subscriber_up(bus_);
  // The PING goes out also without subscriptions: whoever waits for this connection waits for its number.
  open_ = true;
  close_batch(base::clock::now());
}

void subscriber::on_disconnected() {
  // Requests that were not sent must not wait for the next connection, where everything is asked for again.
  close_batch(base::clock::now());
  link_->requests.give_up();
  disordered_ = false;  // the next connection has an order of its own
  if (std::exchange(up_, false)) told_.on_subscriber_down(bus_);
}

// message, channel, payload; pmessage has the pattern in front of the channel.
void subscriber::on_push(std::string_view push) {
  resp::reply_reader reader(push);
  reader.next();
  const std::string_view what = reader.next().text;
  for (std::size_t i = 0; i < subscription_kinds; ++i) {
    if (what != messages[i]) continue;
    return told_.on_message(bus_, static_cast<subscription>(i), reader.next().text, push);
  }
}

void subscriber::read_reply(std::string_view reply) {
  const resp::reply_value value = resp::reply_reader(reply).next();
  if (value.is_error()) {
    ++errors_;
    if (!std::exchange(refused_, true)) {
      base::warn_limited(environment_.name, "bus '{}' refuses what subscriptions need: {}", environment_.name,
                         base::in_log(value.text, 200));
    }
    return;
  }
  // The numbers follow one another, except for those whose place an error took.
  const auto number = value.type == '$' ? base::parse_uint64(value.text) : std::nullopt;
  if (!number || *number < next_number_ || *number - next_number_ > errors_) {
    disordered_ = true;
    return;
  }
  errors_ -= *number - next_number_;
  next_number_ = *number + 1;
  confirmed_ = *number;
  told_.on_confirmed(bus_);
}

void subscriber::on_reply(std::uint32_t, const reply_view& reply) {
  read_reply(reply.bytes);
}

// A refused subscription gets a reply but has no slot, so a PING's answer may come when no slot is left.
bool subscriber::on_unasked(std::string_view reply) {
  if (!refused_) return false;
  read_reply(reply);
  return !disordered_;
}

void subscriber::flush_link(base::time_point now) {
  // The connection is dropped here and not in the midst of reading.
  if (disordered_) link_->socket.drop("left out a reply or sent one too many", now);
  close_batch(now);
  if (link_->requests.unsent_bytes() > 0) link_->socket.flush(now);
}

void subscriber::tick(base::time_point now) {
  if (!link_) return;
  link_->socket.tick(now, false);
  link_->requests.tick(now);
  // A PING stands in for a marker, because refused subscriptions are answered out of turn.
  if (up_ && now >= next_check_ && link_->requests.idle()) {
    next_check_ = now + environment_.settings.health_interval;
    open_ = true;
  }
}

void subscriber::observe(metrics::bus_metrics& out) const {
  if (link_) ++out.connections[static_cast<std::size_t>(link_->socket.state())];
}

}  // namespace dualbus::backend
