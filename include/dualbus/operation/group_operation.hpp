#pragma once

#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/operation/stream_environment.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// A request about a consumer group, which exists on several buses.
///
/// A group exists if it exists on the anchor, or on a draining bus. An active bus that lacks an existing
/// group gets it when it is first asked, from the beginning of the stream: nothing there was ever delivered
/// to the group, and any other position would lose entries.
class group_operation : public gather_operation {
 public:
  group_operation(stream_environment& environment, session& owner, routed_request& request, bool holds)
      : gather_operation(environment, owner, request, holds), streams_(environment) {}

 protected:
  struct location {
    std::optional<command::bus_index> bus;  ///< the anchor, or a draining bus; nothing: no such group
    std::optional<part> problem;            ///< the error or failure that hides it
  };
  /// Finds a bus where a group exists. `key` and `group` outlive the task.
  base::task<location> find_group(std::string_view key, std::string_view group);

  struct healing {
    bool exists = false;          ///< the group exists, and `missing` have it now
    std::optional<part> problem;  ///< the error or failure that kept it from being found out or done
  };
  /// After NOGROUP from the active buses `missing`: finds out whether the group exists, and creates it there.
  /// A group that only a draining bus has is created on the anchor as well, last. Draining buses are left
  /// alone. Answers nothing. `key` and `group` outlive the task.
  base::task<healing> heal(std::string_view key, std::string_view group,
                           std::vector<command::bus_index> missing);

  /// Creates a group that no bus has, at `start`, on every bus of the stream, or on `only`; one that somebody
  /// else has made meanwhile is as good. Returns the error or failure, if any. All outlive the task.
  base::task<std::optional<part>> create_missing(std::string_view key, std::string_view group,
                                                 std::string_view start, command::bus_index only);

  /// The result of a request to every bus, one part each.
  struct survey {
    const part* problem =
        nullptr;                ///< the error to answer: WRONGTYPE, else the first that is more than absence
    bool key_exists = false;    ///< on some bus; only XGROUP and XINFO tell that from a missing group
    bool group_exists = false;  ///< on the anchor or a draining bus
    std::vector<command::bus_index> missing;  ///< the active buses that lack the key or the group
  };
  /// `all` outlives the result.
  survey look_over(const parts& all) const;
  /// True if the bus lacks the key, or the key there lacks the group.
  static bool is_absence(const part& p);
  bool is_draining(command::bus_index bus) const { return env_.routing.router().table().bus(bus).draining; }
  command::bus_index anchor() const { return env_.routing.router().table().rules().anchor; }
  /// Answers, as Redis does, that there is no such group.
  void answer_no_group(std::string_view key, std::string_view group);
  /// The same in the words of XGROUP and XINFO, for a key that exists.
  void answer_no_group_of_key(std::string_view key, std::string_view group);
  /// Answers with an error in Redis's words.
  void answer_redis_error(std::string_view text);
  /// Sends the same command to every bus; the parts are in the order of the buses.
  void send_to_all(resp::arguments args);

  stream_environment& streams_;

 private:
  void send_lookup(command::bus_index bus, std::string_view key, std::string_view group);
  base::task<> undo(std::string_view key, std::string_view group,
                    const std::vector<command::bus_index>& created);
};

}  // namespace dualbus::operation
