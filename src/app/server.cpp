#include "server.hpp"

#include "service_manager.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/log_output.hpp>
#include <dualbus/base/memory_limit.hpp>
#include <dualbus/base/memory_reserve.hpp>
#include <dualbus/base/socket.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <future>
#include <random>
#include <stdexcept>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>

namespace dualbus::app {
namespace {

// A scrape waits so long for a busy worker before it shows that worker's last figures.
constexpr std::chrono::milliseconds snapshot_wait{1000};
// Descriptors beside those of clients: listeners, buses, poller, log, the admin service.
constexpr std::size_t other_descriptors = 256;
// The reserve for the turn in which an allocation fails.
constexpr std::size_t most_reserve_bytes = std::size_t{64} << 20;

std::string make_run_id() {
  std::random_device source;
  std::string id;
  while (id.size() < 40) id += "0123456789abcdef"[source() % 16];
  return id;
}

}  // namespace

server::server(std::shared_ptr<const config::configuration> configuration, predecessor before, hooks told)
    : configuration_(std::move(configuration)),
      first_configuration_(configuration_),
      before_(std::move(before)),
      told_(std::move(told)),
      databases_(configuration_->databases),
      control_path_(configuration_->control.socket),
      last_snapshots_(configuration_->workers),
      hand_over_timeout_ms_(configuration_->control.handover_timeout.count()) {
  if (before_.meet) {
    daemon_.facts.run_id = before_.run_id;
    daemon_.facts.started = before_.started;
  } else {
    daemon_.facts.run_id = make_run_id();
  }
  daemon_.facts.try_file = [this](auto done) { reloader_.post([this, done] { done(try_file()); }); };
  daemon_.facts.reload = [this] { reload(); };
  daemon_.facts.drain = [this] { drain(); };
  drain_delay_ = configuration_->limits.drain_delay;
  raise_descriptor_limit();
  limit_memory();
  base::keep_memory_reserve(std::min(most_reserve_bytes, base::process_memory_limit() / 16));
  for (std::size_t i = 0; i < configuration_->workers; ++i) {
    workers_.push_back(std::make_unique<worker>(
        configuration_, daemon_,
        [this, i](handler::colleagues::question question, handler::colleagues::answers done) {
          ask_all(i, std::move(question), std::move(done));
        }));
  }
  if (!before_.exists()) open_listeners();
}

server::~server() {
  stop();
  // They call one another.
  masters_.stop();
  reloader_.stop();
}

void server::raise_descriptor_limit() {
  const rlim_t wanted = configuration_->limits.max_clients + other_descriptors;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    // As in Redis, clients must not take the descriptors that buses need.
    daemon_.places.most_clients = limit.rlim_cur > other_descriptors ? limit.rlim_cur - other_descriptors : 1;
    spdlog::warn(
        "at most {} open files are allowed, fewer than the {} that limits.max_clients needs: no more than {} "
        "clients "
        "are taken; raise the limit (LimitNOFILE, ulimit -n)",
        limit.rlim_cur, wanted, daemon_.places.most_clients);
  }
}

void server::limit_memory() {
  const std::size_t chosen = configuration_->limits.memory;
  daemon_.memory.set_limit(chosen != 0 ? chosen : base::process_memory_limit() / 2);
}

void server::open_listeners() {
  open_missing_listeners();
  owns_unix_socket_ = !configuration_->listen.unix_socket.empty();
  open_control(false);
}

void server::open_missing_listeners() {
  using hand_over::listener_kind;
  const config::listen_settings& listen = configuration_->listen;
  const auto has = [this](listener_kind what) {
    return std::any_of(listeners_.begin(), listeners_.end(),
                       [what](const auto& l) { return l.what == what; });
  };
  if (listen.port != 0 && !has(listener_kind::tcp)) {
    // Sockets that share a port share it with another daemon, too. This one does not share: it would fail.
    if (workers_.size() > 1) base::listen_tcp(listen.address, listen.port, 1, false).reset();
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      listeners_.push_back({listener_kind::tcp, base::listen_tcp(listen.address, listen.port, listen.backlog,
                                                                 workers_.size() > 1)});
    }
  }
  if (!listen.unix_socket.empty() && !has(listener_kind::unix_socket)) {
    listeners_.push_back({listener_kind::unix_socket,
                          base::listen_unix(listen.unix_socket, listen.unix_socket_mode, listen.backlog)});
  }
}

// Each worker has a listener of its own, unless another process with fewer workers has opened them, or it is
// the one of the Unix socket. A worker may have several: all are in one group (SO_REUSEPORT), and each must
// be served.
void server::share_out_listeners() {
  const auto give = [this](std::size_t to, const hand_over_taker::listener& l, bool shared) {
    base::unique_fd copy(::fcntl(l.fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) throw std::system_error(errno, std::generic_category(), "listen");
    workers_[to]->listen(std::move(copy), l.what == hand_over::listener_kind::tcp, shared);
  };
  std::vector<const hand_over_taker::listener*> of_tcp;
  for (const hand_over_taker::listener& l : listeners_) {
    if (l.what == hand_over::listener_kind::tcp) {
      of_tcp.push_back(&l);
    } else {
      for (std::size_t i = 0; i < workers_.size(); ++i) give(i, l, workers_.size() > 1);
    }
  }
  for (std::size_t i = 0; !of_tcp.empty() && i < std::max(of_tcp.size(), workers_.size()); ++i)
    give(i % workers_.size(), *of_tcp[i % of_tcp.size()], workers_.size() > of_tcp.size());
}

void server::start() {
  serves_ = !before_.meet;
  daemon_.look_for_master = [this](std::size_t bus) { masters_.look(bus); };
  masters_.start(configuration_);
  configuration_ = masters_.fill(configuration_);
  for (std::size_t i = 0; i < configuration_->buses.size(); ++i) {
    const std::string& name = configuration_->routing.buses[i].name;
    const auto& needed = before_.new_masters;
    if (!configuration_->buses[i].has_address() &&
        std::find(needed.begin(), needed.end(), name) != needed.end())
      throw std::runtime_error("buses." + name + ": no Sentinel names a master");
  }
  note_draining();
  const admin::slot_findings slots = slots_.run(*configuration_);
  for (const std::string& line : slots.warnings) base::log_event(spdlog::level::warn, "slot_of_bus", line);
  for (const std::string& line : slots.mistakes) base::log_event(spdlog::level::err, "slot_of_bus", line);
  if (!slots.mistakes.empty()) throw std::runtime_error("buses bear other slots than 'buses' gives them");
  admin_ = std::make_unique<admin::service>(
      configuration_, admin::daemon_view{.snapshots = [this] { return snapshots(); },
                                         .rest = [this](std::uint32_t buses) { rest(buses); },
                                         .doubt =
                                             [this](std::size_t bus, bool doubtful) {
                                               const stream::bus_set bit = stream::bus_set{1} << bus;
                                               doubtful ? daemon_.doubted_buses.fetch_or(bit)
                                                        : daemon_.doubted_buses.fetch_and(~bit);
                                             },
                                         .phase = [this] { return daemon_.phase.load(); },
                                         .sentinels = [this] { return masters_.status(); },
                                         .ask = [this](auto question) { return ask_from_outside(question); },
                                         .recent = daemon_.facts.recent,
                                         .run_id = daemon_.facts.run_id,
                                         .started = daemon_.facts.started});
  if (before_.service != nullptr) admin_->continue_counts(*before_.service);
  if (!before_.exists()) admin_->start();
  for (auto& w : workers_) threads_.emplace_back([&w] { w->run(); });
  if (before_.exists()) {
    await_buses();
    taker_ = before_.meet ? std::make_unique<hand_over_taker>(before_.meet())
                          : std::make_unique<hand_over_taker>(before_.control_socket);
    admin_->start(inherit_listeners(taker_->receive_listeners()));
  }
  share_out_listeners();
  const config::listen_settings& listen = configuration_->listen;
  spdlog::info("all clients together may take {} mb of memory (limits.memory{})",
               daemon_.memory.limit() >> 20,
               configuration_->limits.memory == 0 ? ": half of what the process may use" : "");
  spdlog::info("serving on {}:{}{}{} with {} worker(s)", listen.address, listen.port,
               listen.unix_socket.empty() ? "" : " and ", listen.unix_socket, workers_.size());
  if (taker_) {
    taker_->start(static_cast<hand_over_target&>(*this));
  } else {
    control_->start();
    notify_service_manager("READY=1\n");
  }
  masters_.follow();  // from now on the configuration belongs to the reloader's thread
}

void server::drain() {
  auto before = admin::daemon_phase::serving;
  if (!daemon_.phase.compare_exchange_strong(before, admin::daemon_phase::draining)) return;
  const std::chrono::milliseconds delay = drain_delay_;
  spdlog::info(
      "draining: /readyz answers 503, and clients are served as before; the listeners close in {} ms "
      "(limits.drain_delay)",
      delay.count());
  told_.stop_later(delay);
}

bool server::workers_answer() {
  if (unanswered_ && *unanswered_ > 0) return false;
  unanswered_ = std::make_shared<std::atomic<std::size_t>>(workers_.size());
  for (auto& w : workers_) w->post([left = unanswered_](worker_parts&) { --*left; });
  return true;
}

void server::stop() {
  if (threads_.empty()) return;
  daemon_.phase = admin::daemon_phase::stopping;
  ending_ = true;
  taker_.reset();  // the thread that may start the control socket
  if (control_) control_->stop();
  listeners_.clear();
  masters_.stop();
  moves_.stop();
  places_.stop();
  anchors_.stop();
  slots_.stop();
  retirements_.stop();
  reloader_.stop();
  if (serves_ && !replaced_) spdlog::info("stopping: no new clients; requests in flight are finished");
  // Nobody asks the workers from outside any more before they end.
  admin_->stop_sampling();
  for (auto& w : workers_) w->shut_down(configuration_->limits.shutdown_timeout);
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  admin_->stop();
  if (owns_unix_socket_) ::unlink(configuration_->listen.unix_socket.c_str());
  if (serves_ && !replaced_) spdlog::info("stopped");
}

void server::ask_all(std::size_t asking, handler::colleagues::question question,
                     handler::colleagues::answers done) {
  struct poll {
    std::vector<std::string> answers;  // each worker writes its own
    std::atomic<std::size_t> missing;
    handler::colleagues::answers done;
  };
  auto state = std::make_shared<poll>();
  state->answers.resize(workers_.size());
  state->missing = workers_.size();
  state->done = std::move(done);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->post([this, i, asking, question, state](worker_parts& parts) {
      state->answers[i] = question(parts.as_colleague());
      if (state->missing.fetch_sub(1) != 1) return;
      workers_[asking]->post([state](worker_parts&) { state->done(std::move(state->answers)); });
    });
  }
}

std::vector<std::string> server::ask_from_outside(const handler::colleagues::question& question) {
  std::vector<std::future<std::string>> futures;
  for (auto& w : workers_) {
    auto promise = std::make_shared<std::promise<std::string>>();
    futures.push_back(promise->get_future());
    w->post([promise, question](worker_parts& parts) { promise->set_value(question(parts.as_colleague())); });
  }
  const auto deadline = base::clock::now() + snapshot_wait;
  std::vector<std::string> answers;
  for (std::future<std::string>& answer : futures) {
    if (answer.wait_until(deadline) != std::future_status::ready)
      throw std::runtime_error("a worker is too busy to answer");
    answers.push_back(answer.get());
  }
  return answers;
}

std::vector<metrics::worker_snapshot> server::snapshots() {
  using snapshot = std::shared_ptr<metrics::worker_snapshot>;
  const std::lock_guard lock(snapshots_mutex_);
  std::vector<std::future<snapshot>> futures;
  for (auto& w : workers_) {
    auto promise = std::make_shared<std::promise<snapshot>>();
    futures.push_back(promise->get_future());
    w->post([promise](worker_parts& parts) {
      promise->set_value(std::make_shared<metrics::worker_snapshot>(parts.snapshot()));
    });
  }
  const auto deadline = base::clock::now() + snapshot_wait;
  std::vector<metrics::worker_snapshot> result;
  for (std::size_t i = 0; i < futures.size(); ++i) {
    if (futures[i].wait_until(deadline) == std::future_status::ready) last_snapshots_[i] = futures[i].get();
    if (last_snapshots_[i]) result.push_back(*last_snapshots_[i]);
  }
  return result;
}

}  // namespace dualbus::app
