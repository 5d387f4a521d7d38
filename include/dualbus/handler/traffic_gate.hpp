#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/names.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::handler {

/// CLIENT PAUSE and MONITOR in one worker: both look at every request before it runs, while they are on.
class traffic_gate {
 public:
  /// True while something looks at each request before it runs: users, CLIENT PAUSE, MONITOR, or the order
  /// around durable writes. A pause that is over counts until unpause().
  bool guards() const { return guards_; }
  /// `value`: whether there are users.
  void set_restricted(bool value);
  /// `value`: durable_writes::on().
  void set_ordered(bool value);

  /// Holds requests back until `until`; with `writes_only`, those that may write. As in Redis, a later pause
  /// extends the one that runs, and the stricter kind wins.
  void pause(base::time_point until, bool writes_only);
  void unpause();
  bool paused(base::time_point now) const { return now < paused_until_; }
  base::time_point paused_until() const { return paused_until_; }
  /// `writes`: the result of command::may_replicate() for the request.
  bool pauses(const command::command_spec& spec, bool writes, base::time_point now) const;

  /// `value`: whether any client of any worker monitors. While it is true, lines are kept for take_lines().
  void set_tapped(bool value);
  bool tapped() const { return tapped_; }
  /// The number of times that it was tapped, by which whoever ends the tap sees that nobody has come
  /// meanwhile.
  std::uint64_t taps() const { return taps_; }
  /// Keeps the request as a line of MONITOR.
  void note(const session& client, const client::request& request);
  /// Drops the last line: its request comes again, and is noted again then.
  void take_back();
  /// The lines since the last call, and a note if some were left out. Bounded in bytes between two calls.
  std::string take_lines();

 private:
  void update();

  bool guards_ = false, restricted_ = false, ordered_ = false;
  base::time_point paused_until_{};
  bool writes_only_ = false;
  bool tapped_ = false;
  std::uint64_t taps_ = 0;
  std::string lines_;
  std::size_t before_last_ = 0;  // bytes in lines_
  std::uint64_t left_out_ = 0;
};

/// One argument as MONITOR shows it: in double quotes, with escapes for bytes that are not printable
/// (sdscatrepr).
std::string quoted_argument(std::string_view text);

}  // namespace dualbus::handler
