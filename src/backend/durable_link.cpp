#include <dualbus/backend/durable_link.hpp>
#include <dualbus/base/log.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::backend {
namespace {

// The groups that are out at once. A second one behind the first would only wait in the bus instead of here.
constexpr std::size_t most_out = 1;

}  // namespace

durable_link::durable_link(const link_environment& with, metrics::bus_metrics& metrics,
                           resp::protocol version, int database)
    : environment_(with), metrics_(metrics), link_(with, version, database, this) {
  link_.heir = this;
  link_.requests.release();  // group by group
  for (std::size_t i = 0; i <= most_out; ++i) groups_.push_back(std::make_unique<write_group>(metrics));
}

durable_link::~durable_link() = default;

void durable_link::stop(base::time_point now) {
  renewal_.reset();
  link_.socket.stop(now);
  for (const auto& left : left_) left->link.socket.stop(now);
}

bool durable_link::delivered() const {
  return link_.socket.delivered() && std::all_of(left_.begin(), left_.end(), [](const auto& left) {
           return left->link.socket.delivered();
         });
}

bool durable_link::holds_answers() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const auto& g) { return g->holds_answers(); });
}

void durable_link::give_up(reply_sink& sink, base::time_point now) {
  link_.requests.give_up(sink);
  for (const auto& group : groups_) group->give_up(sink);
  for (const auto& left : left_) left->group->give_up(sink);
  link_.socket.end_undelivered(now);
}

// WAIT speaks of its own connection: on the next one it would confirm nothing of these.
void durable_link::on_disconnected() {
  for (const auto& group : groups_) group->lose_held();
}

void durable_link::on_connected() {
  const server_identity& server = link_.socket.identity();
  if (environment_.target.acknowledge.local == 0 || !server.is_redis_before(7, 2)) return;
  base::error_limited(
      environment_.name,
      "bus '{}': acknowledge.local needs WAITAOF, which {} {} does not have: every write that "
      "waits is answered UNCONFIRMED; set it to 0, or use Redis 7.2 or later",
      environment_.name, server.title(), server.version);
}

void durable_link::renew(base::time_point now) {
  if (link_.socket.state() == metrics::connection_state::up) {
    renewal_ = std::make_unique<renewal>(environment_, link_, now);
  } else {
    renewal_.reset();
    link_.socket.reconnect(now);
  }
}

// Connections are exchanged while no answer is owed or held. True while one is about to be.
bool durable_link::renewing(base::time_point now) {
  if (!renewal_ || out_ > 0 || holds_answers()) return false;
  if (renewal_->run(now)) {
    renewal_.reset();
    return false;
  }
  return link_.socket.holds();
}

// ---------------------------------------------------------------------------------------- another place

durable_link::left_group::left_group(const link_environment& with, resp::protocol version, int database)
    : environment{with.io,       with.poller, with.pool, with.settings,  with.target,
                  with.requests, with.name,   unseen,    log_of::nothing},
      link(environment, version, database) {}

bool durable_link::left_group::over() const {
  return group->open() || link.socket.state() != metrics::connection_state::up;
}

bool durable_link::takes_debts() const {
  return out_ == 1 && groups_[oldest_]->owed_only_confirmation(link_.requests);
}

void durable_link::take_connection(link& of, base::time_point now) {
  if (!takes_debts()) return;  // nothing is owed
  auto fresh = std::make_unique<write_group>(metrics_);
  left_group& left = *left_.emplace_back(std::make_unique<left_group>(environment_, of.version, of.database));
  left.link.socket.take_over(of.socket, now);
  of.requests.pass_on(left.link.requests);
  left.group = std::exchange(groups_[oldest_], std::move(fresh));
  oldest_ = (oldest_ + 1) % groups_.size();
  out_ = 0;
}

void durable_link::drop_left(base::time_point now) {
  std::erase_if(left_, [now](const auto& left) {
    if (left->over()) left->link.socket.stop(now);
    return left->over();
  });
}

void durable_link::flush(base::time_point now) {
  if (!left_.empty()) [[unlikely]]
    drop_left(now);
  for (; out_ > 0 && groups_[oldest_]->open(); --out_) oldest_ = (oldest_ + 1) % groups_.size();
  if (out_ == most_out || renewing(now) || !link_.requests.connected() || link_.socket.holds()) return;
  if (gathering().wants_confirmation()) {
    gathering().close(link_.requests, wanted_, now);
    ++out_;
  }
  if (link_.requests.unsent_bytes() == 0) return;
  link_.requests.release();
  link_.socket.flush(now);
}

void durable_link::tick(base::time_point now) {
  if (renewal_) renewal_->tick(now);
  for (const auto& left : left_) {
    if (left->over()) continue;  // it must not connect again
    left->link.socket.tick(now, false);
    left->link.requests.tick(now);
  }
  link_.socket.tick(now);
  link_.requests.tick(now);
}

void durable_link::observe(metrics::bus_metrics& out) const {
  ++out.connections[static_cast<std::size_t>(link_.socket.state())];
  out.waiting += link_.requests.waiting();
  out.in_flight += link_.requests.in_flight();
  out.abandoned += link_.requests.abandoned();
  for (const auto& left : left_) {
    ++out.connections[static_cast<std::size_t>(left->link.socket.state())];
    out.in_flight += left->link.requests.in_flight();
  }
}

}  // namespace dualbus::backend
