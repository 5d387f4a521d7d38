#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

/// One slow request.
struct slow_entry {
  std::uint64_t id = 0;                ///< over all workers
  std::int64_t time = 0;               ///< Unix time in seconds, when it was answered
  std::int64_t micros = 0;             ///< from its arrival to its answer
  std::int64_t bus_micros = 0;         ///< of these, at the bus that answered last
  std::vector<std::string> arguments;  ///< the command's name alone, unless the configuration keeps more
  std::string address, client_name;
};

/// The slow requests of one worker, the newest first.
class slow_log {
 public:
  void set_max_entries(std::size_t count);
  void add(slow_entry entry);
  void clear() { entries_.clear(); }
  const std::deque<slow_entry>& entries() const { return entries_; }

 private:
  std::deque<slow_entry> entries_;
  std::size_t max_entries_ = 0;
};

/// A copy cut as Redis cuts it (slowlog.c, slowlogCreateEntry): 32 arguments of 128 bytes, with what is left
/// out told at the end of each, and "(redacted)" for passwords.
std::vector<std::string> cut_arguments(resp::arguments args);

}  // namespace dualbus::session
