#pragma once

#include <dualbus/client/refusal_counts.hpp>
#include <dualbus/handler/colleagues.hpp>
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

namespace dualbus::handler {

/// INFO's figures about the daemon: the sums over all workers, since the start or the last CONFIG RESETSTAT.
struct daemon_counts {
  using outcomes = std::array<std::uint64_t, metrics::outcome_count>;

  daemon_counts();

  std::uint64_t clients = 0, blocked = 0;  ///< at this moment
  std::uint64_t accepted = 0, rejected = 0, requests = 0, received = 0, sent = 0;
  std::uint64_t unknown = 0, authentication_failures = 0, permission_denials = 0;
  std::vector<outcomes> commands;  ///< by index in the command table
  client::refusal_counts refusals;

  /// Adds one worker's figures, on its thread.
  void add(const colleague& worker);
  outcomes all_commands() const;
  /// Subtracts what had been counted then; the counts of this moment stay.
  void subtract(const daemon_counts& then);

  static std::uint64_t of(const outcomes& counted, metrics::outcome which) {
    return counted[static_cast<std::size_t>(which)];
  }
};

/// The point where counting begins anew: CONFIG RESETSTAT. The metrics go on.
class counting_start {
 public:
  void set(const daemon_counts& now);
  void apply(daemon_counts& counts) const;

 private:
  mutable std::mutex mutex_;
  std::unique_ptr<daemon_counts> then_;
};

/// Asks all workers, and calls `done` on the calling worker's thread.
void collect_counts(colleagues& workers, std::function<void(const daemon_counts&)> done);

/// Lets INFO's counters begin anew, those of all workers.
void begin_counting(colleagues& workers, counting_start& start);

}  // namespace dualbus::handler
