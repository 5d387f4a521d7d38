#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/session/dispatcher.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::session {

class session;
class worker_context;

/// CLIENT PAUSE and MONITOR in one worker: both look at every request before it runs, while they are on.
class traffic_gate {
 public:
  /// Holds requests back until `until`; with `writes_only`, those that may write. As in Redis a later pause
  /// extends the one that runs, and the stricter kind wins.
  void pause(base::time_point until, bool writes_only);
  void unpause() { paused_until_ = {}; }
  bool paused(base::time_point now) const { return now < paused_until_; }
  base::time_point paused_until() const { return paused_until_; }
  /// `writes`: what may_write() says of the request.
  bool pauses(const command::command_spec& spec, bool writes, base::time_point now) const;

  /// Whether anybody on any worker monitors; this worker's lines are kept for take_lines() then.
  void set_tapped(bool value);
  bool tapped() const { return tapped_; }
  /// How often it was tapped: who wants to end it makes sure that nobody has come meanwhile.
  std::uint64_t taps() const { return taps_; }
  /// The request as a line of MONITOR.
  void note(const session& client, const request& what);
  /// The request noted last comes again, and is noted again then.
  void take_back();
  /// The lines since the last call, and a note if some were left out. Bounded in bytes between two calls.
  std::string take_lines();

 private:
  base::time_point paused_until_{};
  bool writes_only_ = false;
  bool tapped_ = false;
  std::uint64_t taps_ = 0;
  std::string lines_;
  std::size_t before_last_ = 0;  // bytes in lines_
  std::uint64_t left_out_ = 0;
};

/// True if the request may change something at a bus: what CLIENT PAUSE WRITE holds back. EXEC does not by
/// itself.
bool may_write(const command::command_spec& spec, resp::arguments args);

/// After a change of users, pause or monitors.
void update_guard(worker_context& context);

/// One argument as MONITOR shows it: in double quotes, with what is not printable escaped (sdscatrepr).
std::string quoted_argument(std::string_view text);

}  // namespace dualbus::session
