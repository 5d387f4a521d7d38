#include "worker_parts.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::app {
namespace {

// Replies are short; a larger one gets chunks of its own size.
constexpr std::size_t reply_chunk_bytes = 4096;
constexpr std::size_t spare_reply_chunks = 4096;
// A turn's requests for one bus, in few pieces.
constexpr std::size_t request_chunk_bytes = std::size_t{64} << 10;
constexpr std::size_t spare_request_chunks = 64;
constexpr std::chrono::seconds client_check_interval{1};

// The time since which a bus is not up, given what was known before; zero if it is.
base::time_point down_since(base::time_point before, metrics::bus_state state, base::time_point now) {
  if (state == metrics::bus_state::up) return {};
  return before == base::time_point{} ? now : before;
}

}  // namespace

worker_parts::worker_parts(boost::asio::io_context& io, std::shared_ptr<const config::configuration> c,
                           daemon_state& daemon, ask_all_function ask_all)
    : daemon_(daemon),
      ask_all_(std::move(ask_all)),
      reply_chunks_(reply_chunk_bytes, spare_reply_chunks),
      request_chunks_(request_chunk_bytes, spare_request_chunks),
      engines_(c->engines.max_names),
      messages_(c->buses.size(), c->routing.max_type_names),
      routing_(c, messages_),
      access_(c->auth),
      bus_settings_(c->buses) {
  metrics_.buses.resize(c->buses.size());
  stage_.set_handler(dispatcher_);
  apply_settings();
  for (std::size_t i = 0; i < bus_settings_.size(); ++i) {
    const command::bus_rules& rules = c->routing.buses[i];
    buses_.add(std::make_unique<backend::bus>(
                   backend::link_environment{io, poller, request_chunks_, backend_settings_, bus_settings_[i],
                                             pipeline_settings_, rules.name, metrics_.buses[i]}),
               rules.id_slot);
    const backend::link_environment& environment =
        buses_.bus(static_cast<command::bus_index>(i)).environment();
    parking_.add_bus(environment);
    hub_.add_bus(environment);
    buses_.bus(static_cast<command::bus_index>(i)).on_change_of_place([this, i](backend::bus&) {
      parking_.renew(static_cast<command::bus_index>(i), turn.now);
      hub_.renew(static_cast<command::bus_index>(i), true, turn.now);
    });
    buses_.bus(static_cast<command::bus_index>(i)).on_left_behind([this, i](backend::bus&) {
      for (client::session* client : clients_.all()) client->follow(static_cast<command::bus_index>(i));
    });
  }
}

worker_parts::~worker_parts() {
  // Clients refer to buses, and buses to operations: end the clients first, then the replies still owed.
  close_clients();
  links_.stop();
  parking_.stop(turn.now);
  hub_.stop(turn.now);
  buses_.stop();
  end_turn();
}

void worker_parts::apply_settings() {
  const config::configuration& c = routing_.configuration();
  messages_.set_max_names(c.routing.max_type_names);
  engines_.set_max_names(c.engines.max_names);
  limits_ = c.limits;
  backend_settings_ = c.backend;
  pipeline_settings_ = {backend_settings_.reconnect_wait, backend_settings_.reconnect_wait_bytes,
                        backend_settings_.request_timeout, c.limits.bus_output_buffer};
  input_.set_max_request(c.limits.max_request);
  slow_log_.configure(c.slowlog);
  gate_.set_restricted(access_.restricts());
  durable_.follow_settings();
  gate_.set_ordered(durable_.on());
}

void worker_parts::reload(std::shared_ptr<const config::configuration> c) {
  routing_.reload(std::move(c));
  // The users of the new configuration replace the previous ones, which are freed here.
  const client::access_control before =
      std::exchange(access_, client::access_control(routing_.configuration().auth));
  apply_settings();
  for (client::session* client : clients_.all()) {
    client->change_users();
    client->note_standing();
  }
  for (std::size_t i = 0; i < bus_settings_.size(); ++i) {
    const config::bus_settings& loaded = routing_.configuration().buses[i];
    // These hold at once, and the rest when the bus has changed its place.
    bus_settings_[i].latency_target = loaded.latency_target;
    bus_settings_[i].coalesce = loaded.coalesce;
    // Where Sentinels have named another master, the one before serves nobody meanwhile.
    const auto why = loaded.has_sentinels() ? backend::moving::failover : backend::moving::planned;
    buses_.bus(static_cast<command::bus_index>(i)).set_place(loaded, why, turn.now);
  }
  pass_on_renewals();
}

void worker_parts::follow_master(std::size_t bus, const config::server_address& address) {
  config::bus_settings wanted = routing_.configuration().buses[bus];
  wanted.set_address(address);
  buses_.bus(static_cast<command::bus_index>(bus)).set_place(wanted, backend::moving::failover, turn.now);
  pass_on_renewals();
}

// The parts that would notice a lost connection follow once the bus's new one is known to work.
void worker_parts::pass_on_renewals() {
  for (std::size_t i = 0; i < buses_.count(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    const auto because_of = buses_.bus(bus).take_renewed();
    if (because_of == backend::bus::renewed::no) continue;
    parking_.renew(bus, turn.now);
    hub_.renew(bus, because_of == backend::bus::renewed::server, turn.now);
  }
}

void worker_parts::end_turn() {
  turn.share_out();
  // Flushing may let clients go on, and these may have more to flush; each round takes input in or is the
  // last.
  do {
    turn.resume_all();
    polls_.settle();
    parking_.settle();
    if (links_.anybody_waits()) [[unlikely]]
      links_.settle();
    buses_.flush();
  } while (turn.wants_to_resume() || !polls_.settled() || !parking_.settled());
  parking_.flush(turn.now);
  turn.flush_all();
  hub_.flush(turn.now);
  memory_.settle(held_.quick_bytes());
  clients_.free_retired();
  times_.end_turn();
}

void worker_parts::tick() {
  const stream::bus_set doubted = daemon_.doubted_buses.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < buses_.count(); ++i) {
    backend::bus& bus = buses_.bus(static_cast<command::bus_index>(i));
    if ((doubted >> i & 1) != 0) bus.doubt();
    bus.tick(turn.now);
    base::time_point& since = metrics_.buses[i].down_since;
    since = down_since(since, bus.state(turn.now), turn.now);
    if (bus_settings_[i].has_sentinels() && (!bus.responsive(turn.now) || bus.health().needs_other_server()))
      daemon_.look_for_master(i);
  }
  pass_on_renewals();
  parking_.tick(turn.now);
  hub_.tick(turn.now);
  polls_.tick(turn.now);
  memory_.tick();
  door_.check_strangers();
  check_idle_clients();
}

void worker_parts::check_idle_clients() {
  const auto idle = limits_.idle_timeout;
  if (idle.count() == 0 || turn.now < next_client_check_) return;
  next_client_check_ = turn.now + client_check_interval;
  for (client::session* client : clients_.all()) client->check_idle(idle);
}

void worker_parts::drain_clients() {
  for (client::session* client : clients_.all()) client->drain();
}

void worker_parts::close_clients() {
  for (client::session* client : clients_.all()) client->close(metrics::close_reason::shutdown);
}

metrics::worker_snapshot worker_parts::snapshot() const {
  metrics::worker_snapshot result{metrics_, {}, {}};
  result.metrics.clients = clients_.size();
  result.metrics.clients_limit = door_.most_clients();
  result.metrics.strangers = strangers_.size();
  result.metrics.memory_bytes = memory_.used_bytes();
  result.metrics.memory_limit_bytes = daemon_.memory.limit();
  result.metrics.parked_readers = parking_.readers();
  result.metrics.refused_json = messages_.refused_json;
  const operation::subscription_table& subscribed = hub_.table();
  result.metrics.pubsub_clients = subscribed.clients();
  result.metrics.pubsub_channels = subscribed.names(backend::subscription::channel);
  result.metrics.pubsub_patterns = subscribed.names(backend::subscription::pattern);
  result.metrics.pubsub_shard_channels = subscribed.names(backend::subscription::shard);
  for (std::size_t i = 0; i < buses_.count(); ++i) {
    const auto index = static_cast<command::bus_index>(i);
    const backend::bus& bus = buses_.bus(index);
    metrics::bus_metrics& seen = result.metrics.buses[i];
    const metrics::bus_state state = bus.state(turn.now);
    ++seen.states[static_cast<std::size_t>(state)];
    seen.down_since = down_since(seen.down_since, state, turn.now);
    seen.last_answer = bus.last_answer();
    bus.observe(seen);
    parking_.observe(index, seen);
    hub_.observe(index, seen);
  }
  messages_.visit([&result](std::string_view type, const command::message_counters::row& row) {
    result.messages.emplace(type, row);
  });
  engines_.visit([&result](std::string_view name, const metrics::engine_counters& counters) {
    result.engines[std::string(name)] += counters;
  });
  return result;
}

}  // namespace dualbus::app
