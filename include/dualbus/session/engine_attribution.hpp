#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/xadd_arguments.hpp>
#include <dualbus/metrics/engine_table.hpp>

#include <cstdint>
#include <string_view>

namespace dualbus::session {

/// Which engine one connection belongs to, and so where what it does is counted. Three things tell, the best
/// first:
///
///   the name that the client gave itself   CLIENT SETNAME, HELLO … SETNAME
///   a field of a message                   XADD … source_engine <name>
///   the consumer's name                    XREADGROUP, XCLAIM, XAUTOCLAIM
///
/// A better one takes the connection over, an equal one does not, except that a client may rename itself.
/// Earlier counts stay where they were.
class engine_attribution {
 public:
  /// Messages that are searched for the field; a client without it in those will not have it later.
  static constexpr std::uint8_t max_searches = 100;

  /// A connection of nobody known. `table` outlives this.
  explicit engine_attribution(metrics::engine_table& table);
  /// The connection has ended. Anything still counted for it goes where it went before.
  void disconnect();

  metrics::engine_counters& counters() const { return *counters_; }

  /// The client named itself; an empty name takes that back, and the search begins again.
  void set_name(std::string_view name);
  /// True if a command may tell something better; then it is to be shown to look(). In the steady state of an
  /// engine it is false.
  bool undecided(const command::command_spec& spec) const {
    return spec.group == command::group::stream &&
           (source_ == source::none || (source_ == source::consumer && searches_ > 0));
  }
  /// `xadd` is looked at for XADD only; `field` is the one that names the engine.
  void look(const command::command_spec& spec, resp::arguments args, const command::xadd_arguments& xadd,
            std::string_view field);

 private:
  enum class source : std::uint8_t { none, consumer, field, name };

  void move_to(metrics::engine_counters& counters, source why);

  metrics::engine_table& table_;
  metrics::engine_counters* counters_;
  source source_ = source::none;
  std::uint8_t searches_ = max_searches;  // that are left
};

}  // namespace dualbus::session
