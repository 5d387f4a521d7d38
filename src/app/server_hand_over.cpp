#include "log_settings.hpp"
#include "server.hpp"
#include "service_manager.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <future>
#include <memory>
#include <thread>
#include <utility>

// The server as one that hands its clients over, and as one that takes them.
namespace dualbus::app {
namespace {

using hand_over::listener_kind;
using std::chrono::milliseconds;

constexpr milliseconds look_again{10}, hear_limit{2000};
// A bus that is not there by then is away, for the other process, too.
constexpr milliseconds more_than_a_connect{300};

std::string shown_address(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]:" : address + ":") + std::to_string(port);
}

}  // namespace

// Calls `ask` on all workers' threads, and returns their answers when all are there.
template <typename Answer>
std::vector<Answer> server::ask_workers(std::function<Answer(worker&, worker_parts&)> ask) {
  std::vector<std::future<Answer>> answers;
  for (auto& w : workers_) {
    auto promise = std::make_shared<std::promise<Answer>>();
    answers.push_back(promise->get_future());
    w->post([ask, promise, &w = *w](worker_parts& parts) { promise->set_value(ask(w, parts)); });
  }
  std::vector<Answer> result;
  for (auto& answer : answers) result.push_back(answer.get());
  return result;
}

// ------------------------------------------------------------------------------------------------- the giver

void server::accept_clients(bool accepting) {
  ask_workers<bool>([accepting](worker& w, worker_parts&) {
    w.set_accepting(accepting);
    return true;
  });
  admin_->set_accepting(accepting);
}

std::vector<std::vector<std::vector<std::string>>> server::prepare_subscribers(const std::string& channel) {
  using requests = std::vector<std::vector<std::string>>;
  return ask_workers<requests>([this, &channel](worker& asked, worker_parts& parts) {
    requests all = parts.subscribers_leave().all_names();
    const auto number =
        std::find_if(workers_.begin(), workers_.end(), [&](const auto& w) { return w.get() == &asked; });
    if (!all.empty())
      parts.subscribers_leave().begin(channel, static_cast<std::uint32_t>(number - workers_.begin()));
    return all;
  });
}

std::vector<hand_over_source::listener> server::listeners() {
  std::vector<hand_over_source::listener> all;
  for (const hand_over_taker::listener& l : listeners_) all.push_back({l.what, l.fd.get()});
  if (const int fd = admin_->listener(); fd >= 0) all.push_back({listener_kind::admin, fd});
  return all;
}

hand_over_source::numbers server::last_numbers() {
  return {daemon_.last_client_id, daemon_.last_slow_id};
}

hand_over_source::round server::take_departed(bool forced) {
  struct answer {
    std::vector<client::session::departed> ready;
    std::size_t left = 0;
  };
  auto answers = ask_workers<answer>([forced](worker&, worker_parts& parts) {
    std::vector<client::session::departed> ready = parts.departures().take(forced);
    return answer{std::move(ready), parts.departures().left()};
  });
  hand_over_source::round all;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (client::session::departed& each : answers[i].ready) all.ready.push_back({i, std::move(each)});
    all.left += answers[i].left;
  }
  return all;
}

void server::take_back(hand_over_source::departed back, bool refused) {
  auto client = std::make_shared<client::session::departed>(std::move(back.client));
  workers_[back.worker]->post([client, refused](worker_parts& parts) {
    if (refused) parts.departures().keep(client->state.id);
    parts.door().take_over(std::move(client->fd), client->state);
  });
}

void server::call_off() {
  ask_workers<bool>([](worker&, worker_parts& parts) {
    parts.departures().call_off();
    parts.subscribers_leave().end();
    return true;
  });
}

milliseconds server::hand_over_timeout() {
  return milliseconds(hand_over_timeout_ms_);
}

void server::hand_over_ended(const hand_over_giver::outcome& outcome, int successor) {
  using how = admin::service::hand_over;
  const bool own = successor == ::getpid();
  if (!outcome.given) {
    base::log_event(outcome.failed ? spdlog::level::err : spdlog::level::warn, "hand_over_failed",
                    outcome.text);
    if (own) return stay();
    if (outcome.failed) admin_->note_hand_over(how::failed);
    return;
  }
  base::log_event(spdlog::level::info, "clients_handed_over", outcome.text);
  owns_unix_socket_ = false;
  replaced_ = own;
  if (!own) {
    admin_->note_hand_over(how::given);
    notify_service_manager(fmt::format("MAINPID={}\n", successor));
  }
  told_.ended();
}

// ------------------------------------------------------------------------------------------------- the taker

void server::await_buses() {
  const auto deadline = base::clock::now() + configuration_->backend.connect_timeout + more_than_a_connect;
  for (;;) {
    const auto down = ask_workers<std::size_t>([](worker&, worker_parts& parts) {
      std::size_t count = 0;
      for (const auto& bus : parts.buses()) count += bus->up() ? 0 : 1;
      return count;
    });
    std::size_t missing = 0;
    for (const std::size_t count : down) missing += count;
    if (missing == 0) return;
    if (base::clock::now() >= deadline)
      return spdlog::warn("{} connections to buses are not there yet; taking over all the same", missing);
    std::this_thread::sleep_for(look_again);
  }
}

// Those that the configuration does not name are closed; the other process has them, too, and closes them
// later.
base::unique_fd server::inherit_listeners(hand_over_taker::inheritance inherited) {
  daemon_.last_client_id = inherited.last_client_id;
  daemon_.last_slow_id = inherited.last_slow_id;
  const config::listen_settings& listen = configuration_->listen;
  const config::admin_settings& admin = configuration_->admin;
  base::unique_fd of_admin;
  for (hand_over_taker::listener& l : inherited.listeners) {
    const std::string name = base::local_name(l.fd.get());
    const bool wanted_tcp = l.what == listener_kind::tcp && listen.port != 0 &&
                            name == shown_address(listen.address, listen.port);
    const bool wanted_unix = l.what == listener_kind::unix_socket && !listen.unix_socket.empty() &&
                             name == listen.unix_socket + ":0";
    if (wanted_tcp || wanted_unix) {
      ::listen(l.fd.get(), listen.backlog);
      if (wanted_unix) ::chmod(listen.unix_socket.c_str(), listen.unix_socket_mode);
      listeners_.push_back(std::move(l));
    } else if (l.what == listener_kind::unix_socket) {
      left_sockets_.push_back(name.substr(0, name.size() - 2));
    } else if (l.what == listener_kind::admin && admin.port != 0 &&
               name == shown_address(admin.address, admin.port)) {
      of_admin = std::move(l.fd);
    }
  }
  open_missing_listeners();
  return of_admin;
}

std::string server::fault_of(const client::session_state& state) {
  if (state.database < databases_) return {};
  return fmt::format("it uses database {}, and 'databases' is {}", state.database, databases_);
}

void server::hear(std::uint32_t worker, hand_over::subscriptions what) {
  auto heard = std::make_shared<std::promise<void>>();
  auto done = heard->get_future();
  workers_[worker % workers_.size()]->post([heard, what = std::move(what)](worker_parts& parts) {
    parts.subscribers_come().hear(what.channel, what.requests, [heard] { heard->set_value(); });
  });
  done.wait_for(hear_limit);
}

void server::take_client(base::unique_fd fd, client::session_state state) {
  auto client = std::make_shared<client::session::departed>();
  client->fd = std::move(fd);
  client->state = std::move(state);
  // Messages for subscribers are kept by the worker that hears them.
  const std::size_t to = client->state.round != 0 ? client->state.round >> 32 : next_worker_++;
  workers_[to % workers_.size()]->post(
      [client](worker_parts& parts) { parts.door().take_over(std::move(client->fd), client->state); });
}

void server::become_daemon(bool giver_died) {
  owns_unix_socket_ = serves_ = true;
  apply_log_settings(*first_configuration_);
  for (const std::string& path : left_sockets_) ::unlink(path.c_str());
  ask_workers<bool>([](worker&, worker_parts& parts) {
    parts.subscribers_come().end();
    return true;
  });
  before_.meet ? admin_->note_reload(true) : admin_->note_hand_over(admin::service::hand_over::taken);
  try {
    open_control(true);
    control_->start();
  } catch (const std::exception& error) {
    spdlog::error("no later hand-over is possible: {}", error.what());
  }
  if (before_.meet) return spdlog::info("configuration reloaded: new workers serve");
  // If the other process lives, it says who follows: systemd believes only the main process.
  notify_service_manager(giver_died ? fmt::format("MAINPID={}\nREADY=1\n", ::getpid()) : "READY=1\n");
}

void server::give_up(const std::string& why) {
  spdlog::error("hand-over failed: {}; {} when they have left", why,
                before_.meet ? "the new workers end" : "this process ends");
  if (!before_.meet) admin_->note_hand_over(admin::service::hand_over::failed);
  accept_clients(false);
  while (!ending_ && daemon_.places.clients > 0) std::this_thread::sleep_for(look_again);
  told_.ended();
}

void server::open_control(bool replace) {
  control_ = std::make_unique<control_socket>(control_path_, static_cast<hand_over_source&>(*this),
                                              [this](const hand_over_giver::outcome& outcome, int successor) {
                                                hand_over_ended(outcome, successor);
                                              });
  control_->listen(replace);
}

}  // namespace dualbus::app
