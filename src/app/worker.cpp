#include <dualbus/app/worker.hpp>

#include <algorithm>

namespace dualbus::app {
namespace {

// The grain of time-outs and reconnects.
constexpr std::chrono::milliseconds tick_interval{50};
// How long the daemon stays at the end for a bus to take what clients have left behind.
constexpr std::chrono::seconds delivery_wait{1};

}  // namespace

worker::worker(std::shared_ptr<const config::configuration> configuration, session::daemon_state& daemon,
               session::worker_context::ask_all_function ask_all)
    : io_(1),
      resolving_(io_.get_executor()),
      context_(io_, std::move(configuration), daemon, std::move(ask_all)),
      mailbox_(context_.poller) {}

worker::~worker() = default;

void worker::listen(base::unique_fd listener, bool tcp, bool shared) {
  acceptors_.push_back(std::make_unique<acceptor>(context_, std::move(listener), tcp, shared));
}

void worker::run() {
  context_.begin_turn();
  for (std::size_t i = 0; i < context_.bus_count(); ++i) {
    context_.bus(static_cast<command::bus_index>(i)).start(context_.now);
  }
  context_.end_turn();
  while (!ended_) {
    context_.poller.wait(until_due());
    take_turn();
    read_mail();
  }
}

base::duration worker::until_due() const {
  if (context_.has_leftover()) return base::duration::zero();
  const auto timer = context_.timers.next();
  return std::min(next_tick_, timer.value_or(next_tick_)) - base::clock::now();
}

void worker::take_turn() {
  context_.begin_turn();
  context_.poller.dispatch();
  context_.timers.run_due(context_.now);
  const bool due = context_.now >= next_tick_;
  if (due) tick();
  context_.end_turn();
  if (due && draining_) end_when_drained();
}

void worker::tick() {
  next_tick_ = context_.now + tick_interval;
  io_.poll();
  context_.tick();
  for (auto& a : acceptors_) a->tick(context_.now);
}

void worker::read_mail() {
  for (const mailbox::letter& what : mailbox_.take()) {
    context_.begin_turn();
    what();
    context_.end_turn();
  }
}

void worker::post(std::function<void(session::worker_context&)> what) {
  mailbox_.post([this, what = std::move(what)] { what(context_); });
}

void worker::shut_down(std::chrono::milliseconds limit) {
  post([this, limit](session::worker_context& context) {
    acceptors_.clear();
    draining_ = true;
    give_up_at_ = context.now + limit;
    context.drain_clients();
  });
}

void worker::end_when_drained() {
  if (context_.clients.size() > 0 && context_.now < give_up_at_) return;
  if (context_.clients.size() > 0) {
    spdlog::warn("{} clients are closed with requests in flight: shutdown_timeout is over",
                 context_.clients.size());
  }
  context_.begin_turn();
  context_.close_clients();
  context_.end_turn();
  give_up_at_ = std::min(give_up_at_, context_.now + delivery_wait);
  ended_ = context_.delivered() || context_.now >= give_up_at_;
}

}  // namespace dualbus::app
