#include "worker.hpp"

#include <algorithm>

namespace dualbus::app {
namespace {

// The grain of time-outs and reconnects.
constexpr std::chrono::milliseconds tick_interval{50};
// At the end the daemon stays so long for a bus to take the requests that clients have left behind.
constexpr std::chrono::seconds delivery_wait{1};

}  // namespace

worker::worker(std::shared_ptr<const config::configuration> configuration, daemon_state& daemon,
               worker_parts::ask_all_function ask_all)
    : io_(1),
      resolving_(io_.get_executor()),
      parts_(io_, std::move(configuration), daemon, std::move(ask_all)),
      mailbox_(parts_.poller) {}

worker::~worker() = default;

void worker::listen(base::unique_fd listener, bool tcp, bool shared) {
  // A letter can be copied, a descriptor cannot.
  auto fd = std::make_shared<base::unique_fd>(std::move(listener));
  mailbox_.post([this, fd, tcp, shared] {
    if (!draining_) acceptors_.push_back(std::make_unique<acceptor>(parts_, std::move(*fd), tcp, shared));
  });
}

void worker::set_accepting(bool value) {
  for (auto& a : acceptors_) a->set_accepting(value);
}

void worker::run() {
  parts_.begin_turn();
  for (const auto& bus : parts_.buses()) bus->start(parts_.turn.now);
  parts_.end_turn();
  while (!ended_) {
    parts_.poller.wait(until_due());
    take_turn();
    read_mail();
  }
}

base::duration worker::until_due() const {
  if (parts_.turn.has_leftover()) return base::duration::zero();
  base::time_point due = next_tick_;
  if (const auto timer = parts_.turn.timers.next()) due = std::min(due, *timer);
  due = parts_.next_write(due);
  // A tick may be late by as long as the turn took: that spares a look at the clock.
  return due - (due == next_tick_ ? parts_.turn.now : base::clock::now());
}

void worker::take_turn() {
  parts_.begin_turn();
  parts_.poller.dispatch();
  parts_.turn.timers.run_due(parts_.turn.now);
  const bool due = parts_.turn.now >= next_tick_;
  if (due) tick();
  parts_.end_turn();
  if (due && draining_) end_when_drained();
}

void worker::tick() {
  next_tick_ = parts_.turn.now + tick_interval;
  io_.poll();
  parts_.tick();
  for (auto& a : acceptors_) a->tick(parts_.turn.now);
}

void worker::read_mail() {
  for (const mailbox::letter& letter : mailbox_.take()) {
    parts_.begin_turn();
    letter();
    parts_.end_turn();
  }
}

void worker::post(std::function<void(worker_parts&)> call) {
  mailbox_.post([this, call = std::move(call)] { call(parts_); });
}

void worker::shut_down(std::chrono::milliseconds limit) {
  post([this, limit](worker_parts& parts) {
    acceptors_.clear();
    draining_ = true;
    give_up_at_ = parts.turn.now + limit;
    parts.drain_clients();
  });
}

void worker::end_when_drained() {
  if (parts_.clients() > 0 && parts_.turn.now < give_up_at_) return;
  if (parts_.clients() > 0) {
    spdlog::warn("{} clients are closed with requests in flight: shutdown_timeout is over", parts_.clients());
  }
  parts_.begin_turn();
  parts_.close_clients();
  parts_.end_turn();
  give_up_at_ = std::min(give_up_at_, parts_.turn.now + delivery_wait);
  ended_ = parts_.delivered() || parts_.turn.now >= give_up_at_;
}

}  // namespace dualbus::app
