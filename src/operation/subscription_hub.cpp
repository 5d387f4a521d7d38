#include <dualbus/base/log.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/subscription_hub.hpp>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace dualbus::operation {

using command::bus_index;

namespace {

// The memory of a subscription, more or less: an entry of a table, and the name.
std::ptrdiff_t bytes_of(std::string_view name) {
  constexpr std::ptrdiff_t entry = 128;
  return entry + static_cast<std::ptrdiff_t>(name.size());
}

}  // namespace

subscription_hub::subscription_hub(environment& environment, subscription_registry& registry,
                                   const client::session_owner& clients)
    : env_(environment), registry_(registry), clients_(clients) {}

void subscription_hub::add_bus(const backend::link_environment& environment) {
  const auto bus = static_cast<bus_index>(subscribers_.size());
  subscribers_.push_back(std::make_unique<backend::subscriber>(
      environment, bus, static_cast<backend::subscriber::listener&>(*this)));
}

// Every bus is asked, or none if there is no memory for it.
void subscription_hub::ask(kind k, std::string_view name) {
  std::vector<bus_index> asked;
  try {
    for (std::size_t i = 0; i < subscribers_.size(); ++i) {
      backend::subscriber& to = *subscribers_[i];
      to.start(env_.turn.now);
      if (!to.up()) continue;
      to.subscribe(k, name);
      asked.push_back(static_cast<bus_index>(i));
    }
    for (const bus_index bus : asked) registry_.count_connection(k, name, bus, 1);
  } catch (const std::bad_alloc&) {
    for (const bus_index bus : asked) subscribers_[bus]->take_back();
    throw;
  }
}

void subscription_hub::ask_no_more(kind k, std::string_view name) {
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    if (!subscribers_[i]->up()) continue;
    subscribers_[i]->unsubscribe(k, name);
    registry_.count_connection(k, name, static_cast<bus_index>(i), -1);
  }
}

void subscription_hub::hold(kind k, std::string_view name) {
  if (!table_.hold(k, name)) return;
  try {
    ask(k, name);
  } catch (const std::bad_alloc&) {
    table_.release(k, name);
    throw;
  }
}

void subscription_hub::release(kind k, std::string_view name) {
  if (table_.release(k, name)) ask_no_more(k, name);
}

void subscription_hub::subscribe(session& client, kind k, std::string_view name) {
  if (!table_.subscribe(client.id(), k, name)) return;
  try {
    registry_.count_client(k, name, 1);
  } catch (const std::bad_alloc&) {
    table_.unsubscribe(client.id(), k, name);
    throw;
  }
  client.note_own(bytes_of(name));
  note_count(client);
}

void subscription_hub::unsubscribe(session& client, kind k, std::string_view name) {
  const subscription_table::removal removed = table_.unsubscribe(client.id(), k, name);
  if (!removed.was_subscribed) return;
  registry_.count_client(k, name, -1);
  client.note_own(-bytes_of(name));
  if (removed.last) ask_no_more(k, name);
  note_count(client);
}

void subscription_hub::note_count(session& client) const {
  const std::uint64_t id = client.id();
  client.set_subscriptions({table_.count_of(id, kind::channel), table_.count_of(id, kind::pattern),
                            table_.count_of(id, kind::shard)});
}

void subscription_hub::leave(session& client) {
  for (const kind k : {kind::channel, kind::pattern, kind::shard}) {
    const std::vector<std::string> names = table_.names_of(client.id(), k);
    for (const std::string& name : names) unsubscribe(client, k, name);
  }
}

// ------------------------------------------------------------------------------------------- what is awaited

subscription_hub::targets subscription_hub::current_targets() const {
  targets result;
  for (const auto& s : subscribers_) result.push_back(s->target());
  return result;
}

bool subscription_hub::reached(bus_index bus, std::uint64_t target) const {
  return subscribers_[bus]->up() && subscribers_[bus]->confirmed() >= target;
}

void subscription_hub::forget(waiter& w) {
  std::erase(waiting_, &w);
}

void subscription_hub::progress() {
  const std::vector<waiter*> all = waiting_;
  for (waiter* const w : all) {
    if (std::find(waiting_.begin(), waiting_.end(), w) != waiting_.end()) w->on_progress();
  }
}

// ------------------------------------------------------------------------------------------------ the buses

void subscription_hub::on_subscriber_up(bus_index bus) {
  table_.for_each([&](kind k, const std::string& name) {
    subscribers_[bus]->subscribe(k, name);
    registry_.count_connection(k, name, bus, 1);
  });
}

void subscription_hub::on_subscriber_down(bus_index bus) {
  table_.for_each([&](kind k, const std::string& name) { registry_.count_connection(k, name, bus, -1); });
  ++env_.metrics.buses[bus].pubsub_interruptions;
  base::warn_limited(
      env_.buses.name(bus),
      "bus '{}': the connection for Pub/Sub is lost: {} clients miss messages from there until it is back",
      env_.buses.name(bus), table_.clients());
  progress();
}

void subscription_hub::on_confirmed(bus_index) {
  progress();
}

void subscription_hub::on_message(bus_index bus, kind k, std::string_view name, std::string_view push) {
  ++env_.metrics.buses[bus].pubsub_messages;
  if (tap_ != nullptr && tap_->on_message(bus, k, name, push)) [[unlikely]]
    return;
  const subscription_table::client_set* const clients = table_.receivers(k, name);
  if (clients == nullptr) return;
  for (const auto& [id, number] : *clients) {
    session* const client = clients_.find(id);
    if (client == nullptr || (tap_ != nullptr && tap_->withholds(bus, id))) continue;
    client->push(push);
    ++env_.metrics.pubsub_deliveries;
  }
}

void subscription_hub::flush(base::time_point now) {
  for (auto& s : subscribers_) s->flush(now);
}

void subscription_hub::tick(base::time_point now) {
  const bool needed = !table_.empty() || !waiting_.empty();
  for (auto& s : subscribers_) {
    // Requests on their way to the bus arrive first, so that the bus does not count clients that have gone.
    if (!needed && s->started() && (!s->up() || s->confirmed() >= s->target())) s->stop(now);
    s->tick(now);
  }
}

void subscription_hub::stop(base::time_point now) {
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    if (subscribers_[i]->up()) {
      table_.for_each([&](kind k, const std::string& name) {
        registry_.count_connection(k, name, static_cast<bus_index>(i), -1);
      });
    }
    subscribers_[i]->stop(now);
  }
}

}  // namespace dualbus::operation
