#include <dualbus/client/login_delays.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <array>

namespace dualbus::client {

std::string login_delays::network_of(std::string_view peer) {
  std::string host(peer.substr(0, peer.rfind(':')));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::array<char, sizeof(in6_addr)> address{};
  if (::inet_pton(AF_INET6, host.c_str(), address.data()) != 1) return host;
  constexpr std::string_view mapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);  // an IPv4 address in IPv6's form
  const std::string_view bytes(address.data(), address.size());
  return std::string(bytes.starts_with(mapped) ? bytes : bytes.substr(0, 8));
}

void login_delays::note_failure(std::string_view peer, base::time_point now) {
  while (!by_age_.empty() && now - by_age_.front().last > memory) {
    by_network_.erase(by_age_.front().network);
    by_age_.pop_front();
  }
  const std::string network = network_of(peer);
  const auto known = by_network_.find(network);
  if (known != by_network_.end()) {
    record& r = *known->second;
    ++r.failures;
    r.last = now;
    by_age_.splice(by_age_.end(), by_age_, known->second);
    return;
  }
  if (by_age_.size() >= most_addresses) {
    by_network_.erase(by_age_.front().network);
    by_age_.pop_front();
  }
  by_network_.emplace(network, by_age_.insert(by_age_.end(), {network, 1, now}));
}

base::duration login_delays::delay(std::string_view peer, base::time_point now,
                                   base::duration longest) const {
  if (by_age_.empty() || longest.count() == 0) return {};
  const auto known = by_network_.find(network_of(peer));
  if (known == by_network_.end() || now - known->second->last > memory) return {};
  const int beyond = known->second->failures - free_failures;
  if (beyond < 0) return {};
  base::duration wait = first_delay;
  for (int i = 0; i < beyond && wait < longest; ++i) wait *= 2;
  return std::min(wait, longest);
}

}  // namespace dualbus::client
