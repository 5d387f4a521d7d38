#pragma once

#include "bus_links.hpp"
#include "drain_verdict.hpp"
#include "stream_replies.hpp"

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

/// By Redis's number of the database.
using quiet_databases = std::map<int, quiet_watch>;

/// One look at all streams of a draining bus, in every database that holds keys and is not another bus's:
///
///     SCAN a page --> per 16 streams:  XINFO STREAM FULL       on the draining bus
///                                      XINFO GROUPS            on every active bus (*)
///                                      XRANGE, XPENDING        on the draining bus, per group
///                                      XGROUP CREATE           where a group is missing (*)
///
/// (*) Only in the bus's own database: a stream in another one is on one bus as a whole.
///
/// The order of XRANGE and XPENDING matters: the entries behind a group's position are asked for first, so
/// that an entry that is delivered meanwhile shows as pending.
///
/// A group that an active bus lacks is created there at 0, since nothing there was ever delivered to it; its
/// authority is the draining bus, which is the first to lose a group that is destroyed. The anchor comes
/// last, and only when every other active bus has the group: when the anchor has it, readers find it
/// everywhere.
class drain_check {
 public:
  /// The arguments outlive the check; `bus` is draining.
  drain_check(const config::configuration& configuration, const command::routing_table& table,
              bus_links& links, quiet_databases& quiet, command::bus_index bus);

  /// False if the draining bus failed or the daemon stops; the report then says nothing. Active buses that
  /// fail leave their groups unknown.
  bool run();

  drain_report& report() { return report_; }
  /// The errors that kept the check from being complete, by bus.
  std::map<command::bus_index, std::string> errors() const;
  /// Groups created on active buses.
  std::uint64_t healed() const { return healed_; }

 private:
  struct candidate {
    drain_stream stream;
    std::vector<bool> gone;  // by group: destroyed since the check began
  };
  enum class heal_result : std::uint8_t { there, gone, failed };

  bool look_into(int database);
  bool scan();
  /// Databases with keys that belong to no bus; nothing if the bus does not answer.
  std::optional<std::vector<int>> other_databases();
  bool is_of_another_bus(int database, std::string_view run_id);
  bool select(int database);
  std::string run_id_of(command::bus_index bus);
  int own_database() const { return configuration_.buses[bus_].database; }
  bool logical() const { return database_ == own_database(); }
  bool inspect(const std::vector<std::string>& keys);
  bool look_at_streams(const std::vector<std::string>& keys, std::vector<candidate>& found);
  void look_for_groups(command::bus_index bus, std::vector<candidate>& found);
  bool look_at_groups(std::vector<candidate>& found);
  void heal(candidate& one, std::size_t group);
  heal_result heal_on(command::bus_index bus, const std::string& key, const std::string& group);
  /// Whether the draining bus has the group; nothing if it does not answer.
  std::optional<bool> authority_has(const std::string& key, const std::string& group);
  const std::string& name_of(command::bus_index bus) const { return table_.bus(bus).name; }

  const config::configuration& configuration_;
  const command::routing_table& table_;
  bus_links& links_;
  quiet_databases& quiet_;
  const command::bus_index bus_;
  int database_;  // the one that is looked into
  drain_report report_;
  std::map<command::bus_index, std::string> troubles_;  // of single streams, on buses that answer
  std::uint64_t healed_ = 0;
};

}  // namespace dualbus::admin
