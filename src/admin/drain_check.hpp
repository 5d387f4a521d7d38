#pragma once

#include "bus_links.hpp"

#include <dualbus/admin/drain_verdict.hpp>
#include <dualbus/admin/stream_replies.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// One look at all streams of a draining bus:
///
///     SCAN a page --> per 16 streams:  XINFO STREAM FULL       on the draining bus
///                                      XINFO GROUPS            on every active bus
///                                      XRANGE, XPENDING        on the draining bus, per group
///                                      XGROUP CREATE           where a group is missing
///
/// The order of XRANGE and XPENDING matters: the entries behind a group's position are asked for first, so
/// that one that is delivered meanwhile shows as pending.
///
/// A group that an active bus lacks is created there at 0, since nothing there was ever delivered to it; its
/// authority is the draining bus, which is the first to lose a group that is destroyed. The anchor comes
/// last, and only when every other active bus has it: with the anchor, readers find the group everywhere.
class drain_check {
 public:
  /// All outlive the check; `bus` is draining.
  drain_check(const config::configuration& configuration, const command::routing_table& table,
              bus_links& links, quiet_watch& quiet, command::bus_index bus);

  /// False if the draining bus failed or the daemon stops; the report then says nothing. Active buses that
  /// fail leave their groups unknown.
  bool run();

  drain_report& report() { return report_; }
  /// The errors that stood in the way, by bus.
  std::map<command::bus_index, std::string> errors() const;
  /// Groups created on active buses.
  std::uint64_t healed() const { return healed_; }

 private:
  struct candidate {
    drain_stream stream;
    std::vector<bool> gone;  // by group: destroyed since the check began
  };
  enum class heal_result : std::uint8_t { there, gone, failed };

  bool scan();
  bool inspect(const std::vector<std::string>& keys);
  bool look_at_streams(const std::vector<std::string>& keys, std::vector<candidate>& found);
  void look_for_groups(command::bus_index bus, std::vector<candidate>& found);
  bool look_at_groups(std::vector<candidate>& found);
  void heal(candidate& one, std::size_t group);
  heal_result heal_on(command::bus_index bus, const std::string& key, const std::string& group);
  /// Whether the draining bus has the group; nothing if it doesn't answer.
  std::optional<bool> authority_has(const std::string& key, const std::string& group);
  bool is_ignored(std::string_view group) const;
  const std::string& name_of(command::bus_index bus) const { return table_.bus(bus).name; }

  const config::configuration& configuration_;
  const command::routing_table& table_;
  bus_links& links_;
  quiet_watch& quiet_;
  const command::bus_index bus_;
  drain_report report_;
  std::map<command::bus_index, std::string> troubles_;  // of single streams, on buses that answer
  std::uint64_t healed_ = 0;
};

}  // namespace dualbus::admin
