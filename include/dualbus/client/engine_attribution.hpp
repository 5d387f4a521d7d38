#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/command/xadd_arguments.hpp>
#include <dualbus/metrics/engine_table.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::client {

/// Finds out which engine a connection belongs to, so that its traffic is counted there. Three things tell,
/// the best first:
///
///   the name that the client gave itself   CLIENT SETNAME, HELLO … SETNAME
///   a field of a message                   XADD … source_engine <name>
///   the consumer's name                    XREADGROUP, XCLAIM, XAUTOCLAIM
///
/// A better sign replaces a worse one. An equal one does not, except that a client may rename itself. Earlier
/// counts stay where they were.
class engine_attribution {
 public:
  /// So many messages are searched for the field; a client without it in those will not have it later.
  static constexpr std::uint8_t max_searches = 100;

  /// The engine is not known yet. `table` outlives this.
  explicit engine_attribution(metrics::engine_table& table);
  /// The connection has ended. Anything still counted for it goes to the same engine as before.
  void disconnect();

  metrics::engine_counters& counters() const { return *counters_; }

  /// The client named itself; an empty name takes the name back, and the search begins again.
  void set_name(std::string_view name);
  /// What is known, for another process: `source` and `searches` mean something to adopt() only. `name` is
  /// empty if the engine is not known, or counts as another one.
  struct knowledge {
    std::uint8_t source = 0, searches = 0;
    std::string name;
  };
  knowledge known() const;
  void adopt(const knowledge& known);

  /// True if a command may tell more; then look() must see it. In the steady state of an engine it is false.
  bool undecided(const command::command_spec& spec) const {
    return spec.group == command::group::stream &&
           (source_ == source::none || (source_ == source::consumer && searches_ > 0));
  }
  /// `xadd` counts for XADD only; `field` is the field that names the engine.
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

}  // namespace dualbus::client
