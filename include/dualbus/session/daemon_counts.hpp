#pragma once

#include <dualbus/metrics/worker_metrics.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

class worker_context;

/// How often the daemon has refused something, by the error's code. Codes are the daemon's own words, so
/// there are few.
class refusal_counts {
 public:
  /// `error`: its text, which begins with the code.
  void add(std::string_view error);
  void add(const refusal_counts& other);
  void subtract(const refusal_counts& other);
  const std::map<std::string, std::uint64_t, std::less<>>& by_code() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

/// INFO's figures about the daemon: the sums over all workers, since the start or the last CONFIG RESETSTAT.
struct daemon_counts {
  using outcomes = std::array<std::uint64_t, metrics::outcome_count>;

  daemon_counts();

  std::uint64_t clients = 0, blocked = 0;  ///< at this moment
  std::uint64_t accepted = 0, rejected = 0, requests = 0, received = 0, sent = 0;
  std::uint64_t unknown = 0, authentication_failures = 0, permission_denials = 0;
  std::vector<outcomes> commands;  ///< by index in the command table
  refusal_counts refusals;

  /// Adds one worker's, on its thread.
  void add(const worker_context& worker);
  outcomes all_commands() const;
  /// Takes away what had been counted then; the counts of this moment stay.
  void subtract(const daemon_counts& then);

  static std::uint64_t of(const outcomes& counted, metrics::outcome which) {
    return counted[static_cast<std::size_t>(which)];
  }
};

/// Asks all workers, and calls `done` on this one's thread.
void collect_counts(worker_context& context, std::function<void(const daemon_counts&)> done);

/// INFO's counters begin anew, all workers'.
void begin_counting(worker_context& context);

/// The point where counting begins anew: CONFIG RESETSTAT. The metrics go on.
class counting_start {
 public:
  void set(const daemon_counts& now);
  void apply(daemon_counts& counts) const;

 private:
  mutable std::mutex mutex_;
  std::unique_ptr<daemon_counts> then_;
};

}  // namespace dualbus::session
