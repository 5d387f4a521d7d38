#include <dualbus/base/log.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/subscription_hub.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::session {

using command::bus_index;

namespace {

// The memory of a subscription, more or less: an entry of a table, and the name.
std::ptrdiff_t bytes_of(std::string_view name) {
  constexpr std::ptrdiff_t entry = 128;
  return entry + static_cast<std::ptrdiff_t>(name.size());
}

}  // namespace

subscription_hub::subscription_hub(worker_context& context) : context_(context) {}

void subscription_hub::add_bus(const backend::link_environment& environment) {
  const auto bus = static_cast<bus_index>(subscribers_.size());
  subscribers_.push_back(std::make_unique<backend::subscriber>(
      environment, bus, static_cast<backend::subscriber::listener&>(*this)));
}

void subscription_hub::ask(kind k, std::string_view name) {
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    backend::subscriber& to = *subscribers_[i];
    to.start(context_.now);
    if (!to.up()) continue;
    to.subscribe(k, name);
    context_.daemon.subscriptions.count_connection(k, name, static_cast<bus_index>(i), 1);
  }
}

void subscription_hub::ask_no_more(kind k, std::string_view name) {
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    if (!subscribers_[i]->up()) continue;
    subscribers_[i]->unsubscribe(k, name);
    context_.daemon.subscriptions.count_connection(k, name, static_cast<bus_index>(i), -1);
  }
}

void subscription_hub::hold(kind k, std::string_view name) {
  if (table_.hold(k, name)) ask(k, name);
}

void subscription_hub::release(kind k, std::string_view name) {
  if (table_.release(k, name)) ask_no_more(k, name);
}

void subscription_hub::subscribe(session& client, kind k, std::string_view name) {
  if (!table_.subscribe(client.id(), k, name)) return;
  context_.daemon.subscriptions.count_client(k, name, 1);
  client.note_own(bytes_of(name));
  client.set_subscribed(true);
}

void subscription_hub::unsubscribe(session& client, kind k, std::string_view name) {
  const subscription_table::removal removed = table_.unsubscribe(client.id(), k, name);
  if (!removed.was_subscribed) return;
  context_.daemon.subscriptions.count_client(k, name, -1);
  client.note_own(-bytes_of(name));
  if (removed.last) ask_no_more(k, name);
  for (const kind other : {kind::channel, kind::pattern, kind::shard}) {
    if (table_.count_of(client.id(), other) > 0) return;
  }
  client.set_subscribed(false);
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
    context_.daemon.subscriptions.count_connection(k, name, bus, 1);
  });
}

void subscription_hub::on_subscriber_down(bus_index bus) {
  table_.for_each([&](kind k, const std::string& name) {
    context_.daemon.subscriptions.count_connection(k, name, bus, -1);
  });
  ++context_.metrics.buses[bus].pubsub_interruptions;
  base::warn_limited(
      context_.bus_name(bus),
      "bus '{}': the connection for Pub/Sub is lost: {} clients miss what is published there until it is "
      "back",
      context_.bus_name(bus), table_.clients());
  progress();
}

void subscription_hub::on_confirmed(bus_index) {
  progress();
}

void subscription_hub::on_message(bus_index bus, kind k, std::string_view name, std::string_view push) {
  ++context_.metrics.buses[bus].pubsub_messages;
  const subscription_table::client_set* const clients = table_.receivers(k, name);
  if (clients == nullptr) return;
  for (const auto& [id, number] : *clients) {
    session* const client = context_.clients.find(id);
    if (client == nullptr) continue;
    client->push(push);
    ++context_.metrics.pubsub_deliveries;
  }
}

void subscription_hub::flush(base::time_point now) {
  for (auto& s : subscribers_) s->flush(now);
}

void subscription_hub::tick(base::time_point now) {
  const bool needed = !table_.empty() || !waiting_.empty();
  for (auto& s : subscribers_) {
    // Requests on their way to the bus are let through, so that it counts nobody who has gone.
    if (!needed && s->started() && (!s->up() || s->confirmed() >= s->target())) s->stop(now);
    s->tick(now);
  }
}

void subscription_hub::stop(base::time_point now) {
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    if (subscribers_[i]->up()) {
      table_.for_each([&](kind k, const std::string& name) {
        context_.daemon.subscriptions.count_connection(k, name, static_cast<bus_index>(i), -1);
      });
    }
    subscribers_[i]->stop(now);
  }
}

}  // namespace dualbus::session
