#pragma once

#include "message.hpp"
#include "poll_schedule.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace dualbus::fleet {

/// The address where an engine connects.
struct address {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const address&) const = default;
};
/// "host:port", an IPv6 address in brackets; nothing if it is neither.
std::optional<address> parse_address(const std::string& text);
std::string to_string(const address& where);

/// The way in which XREADGROUP waits.
struct poll_style {
  bool blocks = true;
  std::chrono::milliseconds block{1000};  ///< 0: for ever
};
/// "block:MILLISECONDS" or "spin".
std::optional<poll_style> parse_poll_style(const std::string& text);
std::string to_string(const poll_style& style);

/// The command line.
struct options {
  bool migrated = false;
  address server{"127.0.0.1", 6379};  ///< where everything goes; of a migrated fleet only engine logic
  address marketdata{"127.0.0.1", 6380};

  std::size_t engines = 7, streams = 18, subscriptions = 5, targets = 18;
  double rate = 50;  ///< messages per second and engine
  std::size_t payload_bytes = 200;
  double marketdata_share = 0.5;
  std::uint64_t maxlen = 100'000;
  std::uint64_t seed = 1;
  bool pipelined = false;

  poll_style poll;
  reader_style readers = reader_style::sequential;
  std::size_t count = 50;
  std::chrono::microseconds pause{1000};
  bool batch_acks = false;
  bool missing_groups = false;
  bool names = false;
  bool recover = false;

  std::optional<bus_class> flood;
  std::size_t flood_connections = 4, flood_pipeline = 100;

  double seconds = 10, warmup_seconds = 1, drain_seconds = 30;
  bool check = true;
  std::string json_file;
};

/// Reads the command line. Nothing if it printed a mistake or the help: leave with `exit_status` then.
std::optional<options> parse_options(int argc, const char* const* argv, int& exit_status);

std::string_view name_of(reader_style style);

}  // namespace dualbus::fleet
