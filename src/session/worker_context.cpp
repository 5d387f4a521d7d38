#include <dualbus/base/log.hpp>
#include <dualbus/base/socket.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/slow_log.hpp>
#include <dualbus/session/traffic_gate.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <string_view>
#include <sys/socket.h>
#include <utility>

namespace dualbus::session {
namespace {

// Replies are short; a larger one gets chunks of its own size.
constexpr std::size_t client_chunk_bytes = 4096;
constexpr std::size_t spare_client_chunks = 4096;
// A turn's requests for one bus, in few pieces.
constexpr std::size_t bus_chunk_bytes = std::size_t{64} << 10;
constexpr std::size_t spare_bus_chunks = 64;
constexpr std::size_t spare_partials = 64;
constexpr std::size_t spare_partial_bytes = std::size_t{64} << 10;
constexpr std::chrono::seconds client_check_interval{1};

std::vector<int> slots_of(const config::configuration& c) {
  std::vector<int> slots;
  for (const command::bus_rules& bus : c.routing.buses) slots.push_back(bus.id_slot);
  return slots;
}

}  // namespace

worker_context::worker_context(boost::asio::io_context& io, std::shared_ptr<const config::configuration> c,
                               daemon_state& state, ask_all_function ask)
    : client_chunks(client_chunk_bytes, spare_client_chunks),
      bus_chunks(bus_chunk_bytes, spare_bus_chunks),
      engines(c->engines.max_names),
      daemon(state),
      ask_all(std::move(ask)),
      slow(std::make_unique<slow_log>()),
      gate(std::make_unique<traffic_gate>()),
      io_(io),
      messages_(c->buses.size(), c->routing.max_type_names),
      routing_(std::make_unique<routing_snapshot>(std::move(c), messages_)),
      slots_(slots_of(*routing_->configuration)) {
  metrics.buses.resize(configuration().buses.size());
  bus_settings_ = configuration().buses;
  apply_settings();
  for (std::size_t i = 0; i < bus_settings_.size(); ++i) {
    buses_.push_back(std::make_unique<backend::bus>(backend::link_environment{
        io_, poller, bus_chunks, backend_settings_, bus_settings_[i], pipeline_settings_,
        configuration().routing.buses[i].name, metrics.buses[i]}));
    parking_.add_bus(buses_.back()->environment());
    subscriptions_.add_bus(buses_.back()->environment());
  }
}

worker_context::~worker_context() {
  // Sessions refer to buses, buses to operations: end the clients first, then what is still owed.
  close_clients();
  transactions.stop();
  parking_.stop(now);
  subscriptions_.stop(now);
  for (auto& b : buses_) b->stop(now);
  end_turn();
}

void worker_context::apply_settings() {
  messages_.set_max_names(configuration().routing.max_type_names);
  engines.set_max_names(configuration().engines.max_names);
  backend_settings_ = configuration().backend;
  pipeline_settings_ = {backend_settings_.reconnect_wait, backend_settings_.reconnect_wait_bytes,
                        backend_settings_.request_timeout, configuration().limits.bus_output_buffer};
  shared_parser.set_limits({.max_request = configuration().limits.max_request});
  const config::slowlog_settings& slowlog = configuration().slowlog;
  slow->set_max_entries(slowlog.max_entries);
  slow_threshold = slowlog.max_entries == 0 ? base::duration::max() : base::duration(slowlog.threshold);
  keeps_arguments = slowlog.max_entries > 0 && slowlog.arguments;
  update_guard(*this);
}

base::duration worker_context::last_bus_time(base::time_point arrived) const {
  if (observations_.empty()) return {};
  return std::clamp(observations_.back().arrived_plus_bus_time - arrived, base::duration::zero(),
                    now - arrived);
}

void worker_context::reload(std::shared_ptr<const config::configuration> c) {
  const auto before = std::exchange(routing_, std::make_unique<routing_snapshot>(std::move(c), messages_));
  ++reloads_;
  apply_settings();
  // Users of the new configuration take the place of those before, which go now.
  std::vector<session*> open;
  clients.for_each([&open](session& client) { open.push_back(&client); });
  for (session* client : open) {
    client->change_users();
    client->note_standing();
  }
  // Everything else about a bus stays what it was at the start.
  for (std::size_t i = 0; i < bus_settings_.size(); ++i) {
    config::bus_settings& running = bus_settings_[i];
    const config::bus_settings& loaded = configuration().buses[i];
    running.latency_target = loaded.latency_target;
    if (running.username == loaded.username && running.password == loaded.password) continue;
    running.username = loaded.username;
    running.password = loaded.password;
    buses_[i]->renew_login(now);
  }
  pass_on_renewals();
}

// Those that would notice a connection less follow once the new one is known to work.
void worker_context::pass_on_renewals() {
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    const auto because_of = buses_[i]->take_renewed();
    if (because_of == backend::bus::renewed::no) continue;
    const auto bus = static_cast<command::bus_index>(i);
    parking_.renew(bus, now);
    subscriptions_.renew(bus, because_of == backend::bus::renewed::server, now);
  }
}

backend::server_identity worker_context::identity() const {
  const backend::server_identity& said = buses_[routing_->table.rules().default_bus]->identity();
  return said.known() ? said : backend::server_identity{"redis", "7.0.0"};
}

void worker_context::begin_turn() {
  now = base::clock::now();
  ++turn;
  leftover_before_ = leftover_.size();
}

// Those who had more requests than a share of an earlier turn go on, a few in each turn: new requests of the
// others come between.
void worker_context::share_out_turn() {
  constexpr std::size_t most = 2;
  for (std::size_t gone_on = 0; leftover_before_ > 0 && gone_on < most; --leftover_before_) {
    session* const client = leftover_.front();
    leftover_.pop_front();
    if (client == nullptr) continue;
    client->begin_next_share();
    ++gone_on;
  }
}

void worker_context::end_turn() {
  if (leftover_before_ > 0) [[unlikely]]
    share_out_turn();
  // Flushing may let sessions go on, and these may have more to flush; each round takes input in or is the
  // last.
  do {
    for (session* client : std::exchange(to_resume_, {})) client->resume();
    polls_.settle();
    parking_.settle();
    if (transactions.anybody_waits()) [[unlikely]]
      transactions.settle();
    for (auto& b : buses_) b->flush(now);
  } while (!to_resume_.empty() || !polls_.settled() || !parking_.settled());
  parking_.flush(now);
  for (std::size_t i = 0; i < to_flush_.size(); ++i) to_flush_[i]->flush();
  to_flush_.clear();
  subscriptions_.flush(now);
  memory.settle(quick_bytes());
  if (!retired_.empty()) {
    const auto closed = [](const session* client) { return client->closed(); };
    std::erase_if(to_resume_, closed);
    std::erase_if(to_flush_, closed);
    retired_.clear();
  }
  if (observations_.empty()) return;
  const base::time_point end = base::clock::now();
  for (const observation& o : observations_) {
    metrics.buses[o.bus].daemon_duration.observe(
        std::max(base::duration::zero(), end - o.arrived_plus_bus_time));
  }
  observations_.clear();
}

void worker_context::tick() {
  const stream::bus_set doubted = daemon.doubted_buses.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    if ((doubted >> i & 1) != 0) buses_[i]->doubt();
    buses_[i]->tick(now);
  }
  pass_on_renewals();
  parking_.tick(now);
  subscriptions_.tick(now);
  polls_.tick(now);
  memory.tick();
  check_strangers();
  const auto idle = configuration().limits.idle_timeout;
  if (idle.count() > 0 && now >= next_client_check_) {
    next_client_check_ = now + client_check_interval;
    std::vector<session*> open;
    clients.for_each([&open](session& client) { open.push_back(&client); });
    for (session* client : open) client->check_idle(idle);
  }
}

void worker_context::flush_later(session& client) {
  to_flush_.push_back(&client);
}

void worker_context::resume_later(session& client) {
  to_resume_.push_back(&client);
}

void worker_context::observe(command::bus_index bus, base::time_point arrived, base::duration bus_time) {
  observations_.push_back({arrived + bus_time, bus});
  const auto target = bus_settings_[bus].latency_target;
  if (target.count() > 0 && bus_time > target) ++metrics.buses[bus].latency_target_missed;
}

void worker_context::accept(base::unique_fd fd, bool tcp) {
  const config::limit_settings& limits = configuration().limits;
  const std::uint64_t most = most_clients();
  if (daemon.clients.fetch_add(1) >= most && !make_room()) {
    daemon.clients.fetch_sub(1);
    ++metrics.clients_rejected;
    constexpr std::string_view text = "-ERR max number of clients reached\r\n";
    (void)!::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    base::warn_limited({}, "a client was refused: {} clients are the most", most);
    return;
  }
  if (tcp) {
    base::set_no_delay(fd.get());
    base::set_keepalive(fd.get(), limits.client_keepalive);
  }
  ++metrics.clients_accepted;
  clients.add(std::make_unique<session>(*this, std::move(fd), daemon.last_client_id.fetch_add(1) + 1, tcp));
}

void worker_context::retire(session& client) {
  daemon.clients.fetch_sub(1);
  retired_.push_back(clients.remove(client.id()));
}

void worker_context::drain_clients() {
  std::vector<session*> open;
  clients.for_each([&open](session& client) { open.push_back(&client); });
  for (session* client : open) client->drain();
}

void worker_context::close_clients() {
  std::vector<session*> open;
  clients.for_each([&open](session& client) { open.push_back(&client); });
  for (session* client : open) client->close(metrics::close_reason::shutdown);
}

bool worker_context::delivered() const {
  return std::all_of(buses_.begin(), buses_.end(), [](const auto& b) { return b->delivered(); });
}

std::unique_ptr<partial_input> worker_context::take_partial() {
  std::unique_ptr<partial_input> partial;
  if (spare_partials_.empty()) {
    partial = std::make_unique<partial_input>();
  } else {
    partial = std::move(spare_partials_.back());
    spare_partials_.pop_back();
  }
  partial->parser.set_limits({.max_request = configuration().limits.max_request});
  return partial;
}

void worker_context::give_partial(std::unique_ptr<partial_input> partial) {
  partial->parser.reset();
  partial->buffer.consume(partial->buffer.size());
  if (partial->buffer.capacity() > spare_partial_bytes) partial->buffer.release();
  if (spare_partials_.size() < spare_partials) spare_partials_.push_back(std::move(partial));
}

metrics::worker_snapshot worker_context::snapshot() const {
  metrics::worker_snapshot result{metrics, {}, {}};
  result.metrics.clients = clients.size();
  result.metrics.strangers = strangers.size();
  result.metrics.memory_bytes = memory.used_bytes();
  result.metrics.memory_limit_bytes = daemon.memory.limit();
  result.metrics.parked_readers = parking_.readers();
  result.metrics.refused_json = messages_.refused_json;
  const subscription_table& subscribed = subscriptions_.table();
  result.metrics.pubsub_clients = subscribed.clients();
  result.metrics.pubsub_channels = subscribed.names(backend::subscription::channel);
  result.metrics.pubsub_patterns = subscribed.names(backend::subscription::pattern);
  result.metrics.pubsub_shard_channels = subscribed.names(backend::subscription::shard);
  for (std::size_t i = 0; i < buses_.size(); ++i) {
    metrics::bus_metrics& seen = result.metrics.buses[i];
    ++seen.states[static_cast<std::size_t>(buses_[i]->state(now))];
    seen.last_answer = buses_[i]->last_answer();
    buses_[i]->observe(seen);
    parking_.observe(static_cast<command::bus_index>(i), result.metrics.buses[i]);
    subscriptions_.observe(static_cast<command::bus_index>(i), result.metrics.buses[i]);
  }
  messages_.visit([&result](std::string_view type, const command::message_counters::row& row) {
    result.messages.emplace(type, row);
  });
  engines.visit([&result](std::string_view name, const metrics::engine_counters& counters) {
    result.engines[std::string(name)] += counters;
  });
  return result;
}

}  // namespace dualbus::session
