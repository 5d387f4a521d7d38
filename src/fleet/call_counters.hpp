#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace dualbus::fleet {

/// The engines' calls and their failures. A call is a command and its answer, or the lack of an answer.
class call_counters {
 public:
  void call() { ++calls_; }
  /// `error`: an error reply's text without its '-'; it is counted by its first word.
  void fail(std::string_view error);
  /// `calls` got no answer because the connection was lost.
  void lose(std::uint64_t calls);

  std::uint64_t calls() const { return calls_; }
  std::uint64_t failed() const { return failed_; }
  /// The share of calls that did not fail; 1 if there were none.
  double availability() const;
  const std::map<std::string, std::uint64_t, std::less<>>& by_code() const { return by_code_; }
  std::uint64_t by_code(std::string_view code) const;

 private:
  std::uint64_t calls_ = 0, failed_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> by_code_;
};

/// Calls without an answer count under this code.
inline constexpr std::string_view connection_lost = "CONNECTION-LOST";

/// The counts over all engines.
struct fleet_counters {
  call_counters calls;
  std::uint64_t polls = 0;               ///< XREADGROUP calls
  std::uint64_t empty_polls = 0;         ///< answered with nothing
  std::uint64_t acks = 0;                ///< XACK calls
  std::uint64_t acks_without_entry = 0;  ///< entries acknowledged that were not pending
  std::uint64_t foreign = 0;             ///< entries read that this run did not publish
  std::uint64_t recovered = 0;           ///< entries read again after a lost connection
  std::uint64_t reconnects = 0;
  std::uint64_t skipped = 0;  ///< messages not published because the engine was too late
};

}  // namespace dualbus::fleet
