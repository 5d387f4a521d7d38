#include "server.hpp"

#include "service_manager.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/memory_limit.hpp>
#include <dualbus/base/memory_reserve.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/config/difference.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/config/reload.hpp>

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

server::server(std::shared_ptr<const config::configuration> configuration, std::string take_over)
    : configuration_(std::move(configuration)),
      take_over_(std::move(take_over)),
      databases_(configuration_->databases),
      control_path_(configuration_->control.socket),
      last_snapshots_(configuration_->workers),
      hand_over_timeout_ms_(configuration_->control.handover_timeout.count()) {
  daemon_.facts.run_id = make_run_id();
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
  if (take_over_.empty()) open_listeners();
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
  const config::listen_settings& listen = configuration_->listen;
  // Sockets that share a port share it with another daemon, too. This one does not share: it would fail.
  if (listen.port != 0 && workers_.size() > 1)
    base::listen_tcp(listen.address, listen.port, 1, false).reset();
  open_missing_listeners();
  owns_unix_socket_ = !listen.unix_socket.empty();
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
  daemon_.look_for_master = [this](std::size_t bus) { masters_.look(bus); };
  masters_.start(configuration_);
  configuration_ = masters_.fill(configuration_);
  note_draining();
  const admin::slot_findings slots = slots_.run(*configuration_);
  for (const std::string& line : slots.warnings) spdlog::warn("{}", line);
  for (const std::string& line : slots.mistakes) spdlog::error("{}", line);
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
                                         .sentinels = [this] { return masters_.status(); }});
  if (take_over_.empty()) admin_->start();
  for (auto& w : workers_) threads_.emplace_back([&w] { w->run(); });
  if (!take_over_.empty()) {
    await_buses();
    taker_ = std::make_unique<hand_over_taker>(take_over_);
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
    if (control_) control_->start();
    notify_service_manager("READY=1\n");
  }
  masters_.follow();  // from now on the configuration belongs to the reloader's thread
}

void server::set_stop_later(std::function<void(std::chrono::milliseconds)> stop_later) {
  stop_later_ = std::move(stop_later);
}

void server::drain() {
  auto before = admin::daemon_phase::serving;
  if (!daemon_.phase.compare_exchange_strong(before, admin::daemon_phase::draining)) return;
  const std::chrono::milliseconds delay = drain_delay_;
  spdlog::info(
      "draining: /readyz answers 503, and clients are served as before; the listeners close in {} ms "
      "(limits.drain_delay)",
      delay.count());
  stop_later_(delay);
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
  reloader_.stop();
  spdlog::info("stopping: no new clients; requests in flight are finished");
  // Nobody asks the workers from outside any more before they end.
  for (auto& w : workers_) w->shut_down(configuration_->limits.shutdown_timeout);
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  admin_->stop();
  if (owns_unix_socket_) ::unlink(configuration_->listen.unix_socket.c_str());
  spdlog::info("stopped");
}

void server::reload(const std::string& path) {
  if (path_.empty()) path_ = path;
  reloader_.ask();
}

void server::take_masters() {
  configuration_ = masters_.fill(configuration_);
  admin_->set_configuration(configuration_);
}

void server::note_draining() {
  const std::lock_guard lock(resting_mutex_);
  draining_ = 0;
  for (std::size_t i = 0; i < configuration_->routing.buses.size(); ++i)
    draining_ |= std::uint32_t{configuration_->routing.buses[i].draining} << i;
  daemon_.resting_buses.fetch_and(draining_);
}

// A check that has just ended may speak of a bus that is active again.
void server::rest(std::uint32_t buses) {
  const std::lock_guard lock(resting_mutex_);
  daemon_.resting_buses.store(buses & draining_, std::memory_order_relaxed);
}

bool server::may_move_buses(const config::configuration& loaded) {
  const admin::place_check::findings found = places_.run(*configuration_, loaded);
  std::vector<std::string> mistakes = found.mistakes;
  for (const std::string& line : found.warnings) spdlog::warn("{}", line);
  if (mistakes.empty() && found.moves) {
    const admin::slot_findings slots = slots_.run(loaded);
    for (const std::string& line : slots.warnings) spdlog::warn("{}", line);
    mistakes = slots.mistakes;
  }
  if (moves_.stopped()) return false;
  for (const std::string& line : mistakes) spdlog::error("{}", line);
  if (mistakes.empty()) return true;
  spdlog::error("configuration not reloaded: nothing was changed");
  return false;
}

bool server::may_move_anchor(const config::configuration& loaded) {
  const admin::anchor_move::findings found = anchors_.run(*configuration_, loaded);
  if (moves_.stopped()) return false;
  if (found.made > 0)
    spdlog::info("anchor: {} groups were made on bus '{}'", found.made,
                 loaded.routing.buses[loaded.routing.anchor].name);
  for (const std::string& line : found.mistakes) spdlog::error("{}", line);
  if (found.mistakes.empty()) return true;
  spdlog::error("configuration not reloaded: nothing was changed");
  return false;
}

bool server::may_move_keys(const config::configuration& loaded) {
  const bool allowed = loaded.moves == config::stream_moves::allowed;
  const admin::move_report found = moves_.run(*configuration_, loaded);
  if (moves_.stopped()) return false;
  const auto level = allowed ? spdlog::level::warn : spdlog::level::err;
  for (const std::string& line : found.streams) spdlog::log(level, "{}", line);
  if (found.more_streams > 0) spdlog::log(level, "… and {} more such streams", found.more_streams);
  for (const std::string& line : found.unchecked) spdlog::log(level, "{}", line);
  for (const std::string& line : found.others) spdlog::warn("{}", line);
  if (allowed || (found.streams.empty() && found.unchecked.empty())) return true;
  spdlog::error(
      "configuration not reloaded: nothing was changed; have the entries read and acknowledged first, "
      "remove them{}, or say 'moved_streams: allowed' in 'routing'",
      found.unchecked.empty() ? "" : ", wait for the bus");
  return false;
}

void server::load_again() {
  const config::load_result loaded = config::load(path_);
  for (const std::string& warning : loaded.warnings) spdlog::warn("{}", warning);
  if (!loaded.value) {
    for (const std::string& mistake : loaded.mistakes) spdlog::error("{}", mistake);
    spdlog::error("configuration not reloaded: {} mistake(s), nothing was changed", loaded.mistakes.size());
    return admin_->note_reload(false);
  }
  const std::vector<std::string> fixed = config::restart_needed(*configuration_, *loaded.value);
  if (!fixed.empty()) {
    for (const std::string& key : fixed)
      spdlog::error("'{}' cannot change while the daemon runs: restart it", key);
    spdlog::error("configuration not reloaded: nothing was changed");
    return admin_->note_reload(false);
  }
  const auto wanted = masters_.fill(loaded.value);
  if (!may_move_buses(*wanted) || !may_move_keys(*wanted) || !may_move_anchor(*wanted)) {
    if (!moves_.stopped()) admin_->note_reload(false);
    return;
  }
  const std::vector<std::string> changed = config::changed_keys(*configuration_, *loaded.value);
  for (const std::string& line : config::side_effects(*configuration_, *loaded.value))
    spdlog::warn("{}", line);
  for (const std::string& line : config::differences(*configuration_, *loaded.value))
    spdlog::info("{}", line);
  configuration_ = masters_.pass_on(loaded.value, [this](const auto& complete) {
    for (auto& w : workers_) w->post([c = complete](worker_parts& parts) { parts.reload(c); });
  });
  note_draining();
  drain_delay_ = configuration_->limits.drain_delay;
  hand_over_timeout_ms_ = configuration_->control.handover_timeout.count();
  base::set_log_level(configuration_->log_level);
  limit_memory();
  admin_->set_configuration(configuration_);
  admin_->note_reload(true);
  spdlog::info("configuration reloaded: {}", changed.empty()
                                                 ? "nothing is different"
                                                 : fmt::format("changed {}", fmt::join(changed, ", ")));
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
