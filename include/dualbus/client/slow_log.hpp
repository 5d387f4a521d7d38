#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {

/// One slow request.
struct slow_entry {
  std::uint64_t id = 0;                ///< over all workers
  std::int64_t time = 0;               ///< Unix time in seconds, when it was answered
  std::int64_t micros = 0;             ///< from its arrival to its answer
  std::int64_t bus_micros = 0;         ///< the part spent at the bus that answered last
  std::vector<std::string> arguments;  ///< the command's name alone, unless the configuration keeps more
  std::string address, client_name;
};

/// The slow requests of one worker, the newest first.
class slow_log {
 public:
  /// `last_id`: the ID of the last entry, of all workers.
  explicit slow_log(std::atomic<std::uint64_t>& last_id) : last_id_(last_id) {}

  void configure(const config::slowlog_settings& settings);
  /// A request that takes so long is slow.
  base::duration threshold() const { return threshold_; }
  /// True if entries keep the arguments of their request.
  bool keeps_arguments() const { return keeps_arguments_; }

  /// Gives the entry its number.
  void add(slow_entry entry);
  void clear() { entries_.clear(); }
  const std::deque<slow_entry>& entries() const { return entries_; }

 private:
  std::atomic<std::uint64_t>& last_id_;
  std::deque<slow_entry> entries_;
  std::size_t max_entries_ = 0;
  base::duration threshold_ = base::duration::max();
  bool keeps_arguments_ = false;
};

/// A copy cut as Redis cuts it (slowlog.c, slowlogCreateEntry): 32 arguments of 128 bytes, each with a note
/// at its end of what is left out, and "(redacted)" for passwords.
std::vector<std::string> cut_arguments(resp::arguments args);

}  // namespace dualbus::client
