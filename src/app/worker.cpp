#include <dualbus/app/worker.hpp>

#include <boost/asio/post.hpp>

namespace dualbus::app {
namespace {

namespace asio = boost::asio;

// The grain of time-outs and reconnects.
constexpr std::chrono::milliseconds tick_interval{50};
// Under load the poller is asked again at once: that is cheaper than going through the io_context, which is
// due after so many turns all the same.
constexpr int turns_in_a_row = 16;
constexpr int busy_events = 4;

}  // namespace

worker::worker(std::shared_ptr<const config::configuration> configuration, session::daemon_state& daemon,
               session::worker_context::ask_all_function ask_all)
    : io_(1),
      context_(io_, std::move(configuration), daemon, std::move(ask_all)),
      traffic_(io_, context_.poller.fd()),
      tick_(io_),
      precise_(io_) {}

worker::~worker() {
  acceptors_.clear();
  traffic_.release();  // the poller closes it
}

void worker::listen(base::unique_fd listener, bool tcp, bool shared) {
  acceptors_.push_back(std::make_unique<acceptor>(context_, std::move(listener), tcp, shared));
}

void worker::run() {
  context_.begin_turn();
  for (std::size_t i = 0; i < context_.bus_count(); ++i) {
    context_.bus(static_cast<command::bus_index>(i)).start(context_.now);
  }
  context_.end_turn();
  await_traffic();
  await_tick();
  io_.run();
}

void worker::await_traffic() {
  traffic_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error) return;
                        serve();
                        await_traffic();
                      });
}

void worker::serve() {
  for (int turn = 0; turn < turns_in_a_row; ++turn) {
    context_.begin_turn();
    const int events = context_.poller.dispatch();
    context_.end_turn();
    if (events < busy_events) break;
  }
  await_timers();
}

void worker::await_tick() {
  tick_.expires_after(tick_interval);
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    context_.begin_turn();
    context_.tick();
    for (auto& a : acceptors_) a->tick(context_.now);
    context_.end_turn();
    await_timers();
    if (draining_) end_when_drained();
    await_tick();
  });
}

// Timers that are due before the next tick get one of their own.
void worker::await_timers() {
  const auto next = context_.timers.next();
  if (!next || *next == armed_for_) return;
  armed_for_ = *next;
  precise_.expires_at(*next);
  precise_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    armed_for_ = {};
    context_.begin_turn();
    context_.timers.run_due(context_.now);
    context_.end_turn();
    await_timers();
  });
}

void worker::post(std::function<void(session::worker_context&)> what) {
  asio::post(io_, [this, what = std::move(what)] {
    context_.begin_turn();
    what(context_);
    context_.end_turn();
    await_timers();
  });
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
  io_.stop();
}

}  // namespace dualbus::app
