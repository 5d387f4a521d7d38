#include <dualbus/admin/slot_marks.hpp>
#include <dualbus/app/server.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/memory_limit.hpp>
#include <dualbus/base/memory_reserve.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/config/reload.hpp>

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

// How long a scrape waits for a busy worker before it shows that worker's last figures.
constexpr std::chrono::milliseconds snapshot_wait{1000};
// Descriptors beside those of clients: listeners, buses, poller, log, the admin service.
constexpr std::size_t other_descriptors = 256;
// For the turn in which an allocation fails.
constexpr std::size_t most_reserve_bytes = std::size_t{64} << 20;

std::string make_run_id() {
  std::random_device source;
  std::string id;
  while (id.size() < 40) id += "0123456789abcdef"[source() % 16];
  return id;
}

}  // namespace

server::server(std::shared_ptr<const config::configuration> configuration)
    : configuration_(std::move(configuration)), last_snapshots_(configuration_->workers) {
  daemon_.run_id = make_run_id();
  raise_descriptor_limit();
  limit_memory();
  base::keep_memory_reserve(std::min(most_reserve_bytes, base::process_memory_limit() / 16));
  for (std::size_t i = 0; i < configuration_->workers; ++i) {
    workers_.push_back(std::make_unique<worker>(
        configuration_, daemon_,
        [this, i](session::worker_context::question what, session::worker_context::answers done) {
          ask_all(i, std::move(what), std::move(done));
        }));
  }
  open_listeners();
}

server::~server() {
  stop();
}

void server::raise_descriptor_limit() {
  const rlim_t wanted = configuration_->limits.max_clients + other_descriptors;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    // As Redis does: clients must not take the descriptors that buses need.
    daemon_.most_clients = limit.rlim_cur > other_descriptors ? limit.rlim_cur - other_descriptors : 1;
    spdlog::warn(
        "at most {} open files are allowed, fewer than the {} that limits.max_clients needs: no more than {} "
        "clients "
        "are taken; raise the limit (LimitNOFILE, ulimit -n)",
        limit.rlim_cur, wanted, daemon_.most_clients);
  }
}

void server::limit_memory() {
  const std::size_t chosen = configuration_->limits.memory;
  daemon_.memory.set_limit(chosen != 0 ? chosen : base::process_memory_limit() / 2);
}

void server::open_listeners() {
  const config::listen_settings& listen = configuration_->listen;
  const bool shared = workers_.size() > 1;
  if (listen.port != 0) {
    // Sockets that share a port do so with those of another daemon, too. This one does not: it fails then.
    if (shared) base::listen_tcp(listen.address, listen.port, 1, false).reset();
    for (auto& w : workers_)
      w->listen(base::listen_tcp(listen.address, listen.port, listen.backlog, shared), true, false);
  }
  if (!listen.unix_socket.empty()) {
    base::unique_fd socket = base::listen_unix(listen.unix_socket, listen.unix_socket_mode, listen.backlog);
    for (auto& w : workers_) {
      base::unique_fd copy(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
      if (!copy) throw std::system_error(errno, std::generic_category(), "listen on " + listen.unix_socket);
      w->listen(std::move(copy), false, shared);
    }
  }
}

void server::start() {
  const admin::slot_findings slots = admin::slot_check().run(*configuration_);
  for (const std::string& line : slots.warnings) spdlog::warn("{}", line);
  for (const std::string& line : slots.mistakes) spdlog::error("{}", line);
  if (!slots.mistakes.empty()) throw std::runtime_error("buses bear other slots than 'buses' gives them");
  admin_ = std::make_unique<admin::service>(
      configuration_,
      admin::daemon_view{
          .snapshots = [this] { return snapshots(); },
          .rest =
              [this](std::uint32_t buses) { daemon_.resting_buses.store(buses, std::memory_order_relaxed); },
          .doubt =
              [this](std::size_t bus, bool doubtful) {
                const stream::bus_set bit = stream::bus_set{1} << bus;
                doubtful ? daemon_.doubted_buses.fetch_or(bit) : daemon_.doubted_buses.fetch_and(~bit);
              }});
  admin_->start();
  for (auto& w : workers_) threads_.emplace_back([&w] { w->run(); });
  const config::listen_settings& listen = configuration_->listen;
  spdlog::info("all clients together may take {} mb of memory (limits.memory{})",
               daemon_.memory.limit() >> 20,
               configuration_->limits.memory == 0 ? ": half of what the process may use" : "");
  spdlog::info("serving on {}:{}{}{} with {} worker(s)", listen.address, listen.port,
               listen.unix_socket.empty() ? "" : " and ", listen.unix_socket, workers_.size());
}

void server::stop() {
  if (threads_.empty()) return;
  moves_.stop();
  reloader_.stop();
  spdlog::info("stopping: no new clients, finishing what is in flight");
  // Asked from outside no more, before the workers end.
  for (auto& w : workers_) w->shut_down(configuration_->limits.shutdown_timeout);
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  admin_->stop();
  if (!configuration_->listen.unix_socket.empty()) ::unlink(configuration_->listen.unix_socket.c_str());
  spdlog::info("stopped");
}

void server::reload(const std::string& path) {
  if (path_.empty()) path_ = path;
  reloader_.ask();
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
  if (!may_move_keys(*loaded.value)) {
    if (!moves_.stopped()) admin_->note_reload(false);
    return;
  }
  const std::vector<std::string> changed = config::changed_keys(*configuration_, *loaded.value);
  for (const std::string& line : config::side_effects(*configuration_, *loaded.value))
    spdlog::warn("{}", line);
  configuration_ = loaded.value;
  base::set_log_level(configuration_->log_level);
  limit_memory();
  for (auto& w : workers_) {
    w->post([c = configuration_](session::worker_context& context) { context.reload(c); });
  }
  admin_->set_configuration(configuration_);
  admin_->note_reload(true);
  spdlog::info("configuration reloaded: {}", changed.empty()
                                                 ? "nothing is different"
                                                 : fmt::format("changed {}", fmt::join(changed, ", ")));
}

void server::ask_all(std::size_t asking, session::worker_context::question what,
                     session::worker_context::answers done) {
  struct round {
    std::vector<std::string> answers;  // each worker writes its own
    std::atomic<std::size_t> missing;
    session::worker_context::answers done;
  };
  auto state = std::make_shared<round>();
  state->answers.resize(workers_.size());
  state->missing = workers_.size();
  state->done = std::move(done);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->post([this, i, asking, what, state](session::worker_context& context) {
      state->answers[i] = what(context);
      if (state->missing.fetch_sub(1) != 1) return;
      workers_[asking]->post([state](session::worker_context&) { state->done(std::move(state->answers)); });
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
    w->post([promise](session::worker_context& context) {
      promise->set_value(std::make_shared<metrics::worker_snapshot>(context.snapshot()));
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
