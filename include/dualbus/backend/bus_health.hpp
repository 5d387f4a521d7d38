#pragma once

#include <dualbus/backend/bus_errors.hpp>
#include <dualbus/base/clock.hpp>

#include <chrono>
#include <string_view>

namespace dualbus::backend {

/// Knows, by the Redis's own words, whether the Redis that one worker is connected to does its job. It sees
/// no socket and no clock.
///
///   doubt() ──> probe_due() ──> the owner sends `probe` ──> on_probe(): state()
///      ^                              └── once per probe_interval until it succeeds
///      └── a client's request was answered with an error of bus_errors.hpp, or INFO looks like it
///
/// Only the probe decides: any text can stand in an error that a script makes. Without doubt nothing is sent.
class bus_health {
 public:
  static constexpr std::chrono::milliseconds probe_interval{1000};
  /// A write that takes memory, and is refused when such writes are, but changes nothing, whatever the key is
  /// (t_string.c, setrangeCommand: "return 0 when setting nothing").
  static constexpr std::string_view probe =
      "*4\r\n$8\r\nSETRANGE\r\n$13\r\ndualbus:probe\r\n$1\r\n0\r\n$0\r\n\r\n";

  /// There is reason to ask.
  void doubt() { doubted_ = true; }
  /// True if the owner is to send `probe` now; then it calls probe_sent().
  bool probe_due(base::time_point now) const {
    return (doubted_ || state_ != metrics::bus_state::up) && !probing_ && now >= next_probe_;
  }
  void probe_sent(base::time_point now);
  /// Takes the answer to the probe. True if state() has changed.
  bool on_probe(std::string_view reply);
  /// There will be no answer to the probe.
  void on_probe_lost() { probing_ = false; }
  /// The connection is lost: nothing is known of the next one.
  void forget();

  /// `up`, or one of the states that Redis tells.
  metrics::bus_state state() const { return state_; }
  bool serves_reads() const { return error_ == nullptr || !error_->stops_reads; }
  bool serves_group_reads() const { return error_ == nullptr || !error_->stops_group_reads; }
  /// True while another server is to be looked for.
  bool needs_other_server() const { return error_ != nullptr && error_->needs_other_server; }

 private:
  const bus_error* error_ = nullptr;  // of the last probe
  metrics::bus_state state_ = metrics::bus_state::up;
  bool doubted_ = false, probing_ = false;
  base::time_point next_probe_{};
};

}  // namespace dualbus::backend
