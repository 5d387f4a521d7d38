#pragma once

#include "redis_connection.hpp"
#include "stop_signal.hpp"

#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::admin {

/// One Sentinel that is asked for a master, and that may announce a failover. Used by one thread at a time.
class sentinel_link {
 public:
  struct answer {
    std::optional<config::server_address> master;
    std::uint64_t epoch = 0;
    std::vector<config::server_address> others;  ///< the Sentinels that it knows beside itself
    std::string fault;                           ///< why it names no master
  };

  /// `stop` outlives the link. `patience` is for connecting, and for each answer.
  sentinel_link(const config::server_address& where, const config::sentinel_settings& login, bool configured,
                const stop_signal& stop, std::chrono::milliseconds patience);
  sentinel_link(const sentinel_link&) = delete;
  sentinel_link& operator=(const sentinel_link&) = delete;

  const std::string& endpoint() const { return settings_.endpoint; }
  /// It stands in the configuration.
  bool configured() const { return configured_; }
  const config::bus_settings& settings() const { return settings_; }

  /// Connects if need be, and keeps the connection.
  answer ask();

  /// Has it announce failovers, over a connection of its own; a Sentinel that refuses announces nothing.
  void listen();
  bool listening() const { return events_.is_open(); }
  /// Becomes readable when it has announced something; only while listening.
  int events() const { return events_.descriptor(); }
  /// Takes what it has announced, which is no more than a reason to ask.
  void drop_events() { events_.drop_received(); }

  void close();

 private:
  answer failed();

  const config::bus_settings settings_;
  const bool configured_;
  const std::chrono::milliseconds patience_;
  redis_connection questions_, events_;
};

}  // namespace dualbus::admin
