#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/operation/subscription_registry.hpp>

#include <algorithm>
#include <numeric>

namespace dualbus::operation {
namespace {

// The buses' count, with the daemon's own subscriptions there replaced by those of its clients.
std::int64_t corrected(std::int64_t counted, std::int64_t on_buses, std::int64_t own) {
  return base::add_saturated(std::max<std::int64_t>(std::max<std::int64_t>(counted, 0) - on_buses, 0), own);
}

}  // namespace

std::int64_t subscription_registry::entry::all_connections() const {
  return std::accumulate(connections.begin(), connections.end(), std::int64_t{0});
}

subscription_registry::entry& subscription_registry::at(kind k, std::string_view name) {
  entries& all = entries_[static_cast<std::size_t>(k)];
  const auto found = all.find(name);
  if (found != all.end()) return found->second;
  entry& made = all.emplace(std::string(name), entry{}).first->second;
  entries_total_.fetch_add(1, std::memory_order_release);
  return made;
}

void subscription_registry::drop_if_empty(kind k, std::string_view name) {
  entries& all = entries_[static_cast<std::size_t>(k)];
  const auto found = all.find(name);
  if (found->second.clients > 0 || found->second.all_connections() > 0) return;
  all.erase(found);
  entries_total_.fetch_sub(1, std::memory_order_release);
}

void subscription_registry::count_client(kind k, std::string_view name, int change) {
  const std::lock_guard lock(mutex_);
  at(k, name).clients += change;
  drop_if_empty(k, name);
}

void subscription_registry::count_connection(kind k, std::string_view name, command::bus_index bus,
                                             int change) {
  const std::lock_guard lock(mutex_);
  entry& e = at(k, name);
  if (e.connections.size() <= bus) e.connections.resize(bus + std::size_t{1});
  e.connections[bus] += change;
  drop_if_empty(k, name);
}

// A name without a connection to the bus gets nothing from there.
std::int64_t subscription_registry::receivers(bool shard, std::string_view channel, command::bus_index bus,
                                              std::int64_t counted) const {
  const std::lock_guard lock(mutex_);
  std::int64_t connections = 0, clients = 0;
  const auto add = [&](const entry& e) {
    if (e.on(bus) == 0) return;
    connections += e.on(bus);
    clients += e.clients;
  };
  const entries& named = entries_[static_cast<std::size_t>(shard ? kind::shard : kind::channel)];
  if (const auto found = named.find(channel); found != named.end()) add(found->second);
  if (!shard) {
    for (const auto& [pattern, e] : entries_[static_cast<std::size_t>(kind::pattern)]) {
      if (base::glob_match(pattern, channel)) add(e);
    }
  }
  return corrected(counted, connections, clients);
}

std::int64_t subscription_registry::subscribers(kind k, std::string_view name, std::int64_t counted) const {
  const std::lock_guard lock(mutex_);
  const entries& named = entries_[static_cast<std::size_t>(k)];
  const auto found = named.find(name);
  if (found == named.end()) return counted;
  return corrected(counted, found->second.all_connections(), found->second.clients);
}

// A bus counts a pattern once, however many are subscribed to it.
std::int64_t subscription_registry::patterns(std::int64_t counted) const {
  const std::lock_guard lock(mutex_);
  std::int64_t own = 0, on_buses = 0;
  for (const auto& [pattern, e] : entries_[static_cast<std::size_t>(kind::pattern)]) {
    own += e.clients > 0 ? 1 : 0;
    on_buses += std::count_if(e.connections.begin(), e.connections.end(), [](auto n) { return n > 0; });
  }
  return corrected(counted, on_buses, own);
}

std::size_t subscription_registry::names(kind k) const {
  const std::lock_guard lock(mutex_);
  const entries& all = entries_[static_cast<std::size_t>(k)];
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const auto& named) { return named.second.clients > 0; }));
}

}  // namespace dualbus::operation
