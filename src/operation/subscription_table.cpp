#include <dualbus/operation/subscription_table.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::operation {

bool subscription_table::hold(kind k, std::string_view name) {
  auto at = of(k).find(name);
  if (at == of(k).end()) at = of(k).emplace(std::string(name), entry{}).first;
  const bool first = !at->second.wanted();
  ++at->second.held;
  return first;
}

bool subscription_table::erase_if_unwanted(kind k, entries::iterator at) {
  if (at->second.wanted()) return false;
  of(k).erase(at);
  return true;
}

bool subscription_table::release(kind k, std::string_view name) {
  const auto at = of(k).find(name);
  if (at == of(k).end()) return false;
  --at->second.held;
  return erase_if_unwanted(k, at);
}

bool subscription_table::subscribe(client_id client, kind k, std::string_view name) {
  const auto at = of(k).find(name);
  if (at == of(k).end()) return false;
  std::string copy(name);  // first: there may be no memory for it
  if (!at->second.clients.emplace(client, next_).second) return false;
  clients_[client][static_cast<std::size_t>(k)].emplace(next_++, std::move(copy));
  return true;
}

subscription_table::removal subscription_table::unsubscribe(client_id client, kind k, std::string_view name) {
  const auto at = of(k).find(name);
  if (at == of(k).end()) return {};
  const auto subscribed = at->second.clients.find(client);
  if (subscribed == at->second.clients.end()) return {};
  const auto owner = clients_.find(client);
  owner->second[static_cast<std::size_t>(k)].erase(subscribed->second);
  at->second.clients.erase(subscribed);
  const lists& left = owner->second;
  if (std::all_of(left.begin(), left.end(), [](const auto& list) { return list.empty(); })) {
    clients_.erase(owner);
  }
  return {true, erase_if_unwanted(k, at)};
}

std::vector<std::string> subscription_table::names_of(client_id client, kind k) const {
  std::vector<std::string> names;
  const auto found = clients_.find(client);
  if (found == clients_.end()) return names;
  for (const auto& [number, name] : found->second[static_cast<std::size_t>(k)]) names.push_back(name);
  return names;
}

std::size_t subscription_table::count_of(client_id client, kind k) const {
  const auto found = clients_.find(client);
  return found == clients_.end() ? 0 : found->second[static_cast<std::size_t>(k)].size();
}

const subscription_table::client_set* subscription_table::receivers(kind k, std::string_view name) const {
  const entries& all = entries_[static_cast<std::size_t>(k)];
  const auto found = all.find(name);
  return found == all.end() || found->second.clients.empty() ? nullptr : &found->second.clients;
}

}  // namespace dualbus::operation
