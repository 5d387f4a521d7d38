#pragma once

#include <dualbus/command/routing_table.hpp>

#include <cstdint>
#include <vector>

namespace dualbus::client {

/// The requests of one client that are on their way to a bus over a durable_link, and that the bus has not
/// answered. A bus has two connections then, and only requests on the same one keep their order. So that a
/// bus carries out one client's requests in the order in which they came:
///
///   - while some are counted here, further requests to that one bus go behind them, over the durable link,
///     whether they are durable or not;
///   - all other requests (over several buses, on connections of their own) wait until none are counted;
///   - a durable write waits while a request before it, on another connection, may not have been carried out.
///
/// They wait for a bus's answer, not for its confirmation. operation::durable_writes decides all this.
class bus_order {
 public:
  void sent(command::bus_index bus) {
    if (under_way_.size() <= bus) under_way_.resize(bus + std::size_t{1});
    ++under_way_[bus];
    ++total_;
  }
  void answered(command::bus_index bus) {
    --under_way_[bus];
    --total_;
  }
  bool under_way(command::bus_index bus) const { return bus < under_way_.size() && under_way_[bus] > 0; }
  bool any() const { return total_ > 0; }

 private:
  std::vector<std::uint32_t> under_way_;  // by bus; empty until the first durable write
  std::uint32_t total_ = 0;
};

}  // namespace dualbus::client
