#include <dualbus/session/subscription_table.hpp>

#include <algorithm>

namespace dualbus::session {

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
  if (at == of(k).end() || !at->second.clients.insert(client).second) return false;
  clients_[client][static_cast<std::size_t>(k)].emplace_back(name);
  return true;
}

subscription_table::removal subscription_table::unsubscribe(client_id client, kind k, std::string_view name) {
  const auto at = of(k).find(name);
  if (at == of(k).end() || at->second.clients.erase(client) == 0) return {};
  const auto owner = clients_.find(client);
  auto& names = owner->second[static_cast<std::size_t>(k)];
  names.erase(std::find(names.begin(), names.end(), name));
  const lists& left = owner->second;
  if (std::all_of(left.begin(), left.end(), [](const auto& list) { return list.empty(); })) {
    clients_.erase(owner);
  }
  return {true, erase_if_unwanted(k, at)};
}

const std::vector<std::string>& subscription_table::names_of(client_id client, kind k) const {
  static const std::vector<std::string> none;
  const auto found = clients_.find(client);
  return found == clients_.end() ? none : found->second[static_cast<std::size_t>(k)];
}

const subscription_table::client_set* subscription_table::receivers(kind k, std::string_view name) const {
  const entries& all = entries_[static_cast<std::size_t>(k)];
  const auto found = all.find(name);
  return found == all.end() || found->second.clients.empty() ? nullptr : &found->second.clients;
}

}  // namespace dualbus::session
