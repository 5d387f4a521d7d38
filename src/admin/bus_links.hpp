#pragma once

#include "redis_connection.hpp"
#include "stop_signal.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// A thread's own connections to the buses, one each, made when a check first needs them. A bus that fails is
/// left alone for the rest of the check, so that a bus that hangs costs each check one time-out and not
/// hundreds.
class bus_links {
 public:
  struct settings {
    std::chrono::milliseconds connect_timeout{1000};  ///< AUTH included
    std::chrono::milliseconds reply_timeout{5000};    ///< for all replies to one batch
    std::size_t commands_per_second = 2000;           ///< to all buses together, on average
  };

  /// `stop` outlives the links.
  bus_links(std::vector<config::bus_settings> buses, const stop_signal& stop, settings timing);
  ~bus_links();

  /// Sets where the buses are, from the next check on; only behind rest().
  void set_buses(std::vector<config::bus_settings> buses);

  /// Begins a new check: buses that failed get another chance.
  void begin();

  /// Ends the check: the connections are closed until the next one.
  void rest();

  /// Returns the reason why a reply, the `index`-th of its batch, makes the bus useless for this check; else
  /// nothing.
  using reader = std::function<std::string(std::size_t index, std::string_view reply)>;
  /// Sends the requests and reads every reply. False if the bus fails or has failed in this check.
  bool exchange(command::bus_index bus, const request_batch& requests, const reader& read);

  /// Waits until the average allows as much work as `commands` simple ones. False when the daemon stops.
  bool pace(std::size_t commands);

  /// The reasons why buses failed in this check, by bus.
  const std::map<command::bus_index, std::string>& errors() const { return errors_; }

 private:
  redis_connection* open(command::bus_index bus);

  std::vector<config::bus_settings> buses_;
  const stop_signal& stop_;
  const settings timing_;
  std::vector<std::unique_ptr<redis_connection>> connections_;  // by bus
  std::map<command::bus_index, std::string> errors_;
  base::time_point paid_until_{};
};

}  // namespace dualbus::admin
