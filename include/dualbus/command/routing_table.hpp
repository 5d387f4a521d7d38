#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dualbus::command {

/// A bus's place in the configuration; all per-bus arrays use it.
using bus_index = std::uint8_t;
inline constexpr bus_index no_bus = 255;

struct bus_rules {
  std::string name;
  int id_slot = 0;        ///< 0 … 127, see stream/entry_id.hpp
  bool draining = false;  ///< reads include it, XADD never goes there
  bool confirms = false;  ///< its writes are answered when its replicas or its AOF have them, and
  std::vector<std::string> confirmed_types = {};  ///< only messages of these types: names or globs; none: all
};

/// An exact name or a glob, and the bus for names that match it.
struct match_rule {
  std::string match;
  bus_index bus = 0;
};

/// The treatment of an XADD whose ID is explicit and has no slot, if the bus of the message has a slot other
/// than 0.
enum class explicit_ids : std::uint8_t {
  match,  ///< it is refused
  remap   ///< the bus takes the ID, and clients see it with the bus's slot
};

/// The treatment of FLUSHDB and FLUSHALL.
enum class flush_permission : std::uint8_t { refused, allowed };

/// The treatment of commands that are about one server.
enum class server_commands : std::uint8_t {
  refused,
  passed  ///< to the only bus
};

/// The routing part of the configuration, as written.
struct routing_rules {
  std::vector<bus_rules> buses;
  bus_index default_bus = 0;
  bus_index default_key_bus = no_bus;    ///< of unpinned keys that are no streams; no_bus: the default bus
  bus_index anchor = 0;                  ///< where a group's existence is decided; active
  std::string field = "message_type";    ///< the XADD field that names a message's type
  std::vector<std::string> json_fields;  ///< looked into, in this order, when the field is absent
  std::string json_pointer;              ///< RFC 6901, where in them; empty: the member called `field`
  std::vector<match_rule> types;         ///< of message types; exact names come before globs
  std::vector<match_rule> keys;          ///< of keys; the first match pins the key
  std::vector<match_rule> channels;      ///< of Pub/Sub channels; the first match decides
  std::size_t max_type_names = 200;      ///< distinct message types that are counted by name
  explicit_ids ids = explicit_ids::match;
  flush_permission flush = flush_permission::refused;
  command::server_commands server_commands = command::server_commands::refused;
};

/// The same rules, but keys that no rule matches belong to the bus of keys that are no streams.
routing_rules with_every_key_pinned(routing_rules rules);

/// Decides where keys and message types belong. Immutable: a reload builds another one.
class routing_table {
 public:
  explicit routing_table(routing_rules rules);

  /// As given, but `default_key_bus` always names a bus.
  const routing_rules& rules() const { return rules_; }
  std::size_t bus_count() const { return rules_.buses.size(); }
  const bus_rules& bus(bus_index index) const { return rules_.buses[index]; }

  /// The bus that the first matching key rule names; no_bus if the key is not pinned.
  bus_index pinned_bus(std::string_view key) const;
  /// The bus where commands of other types than streams find the key.
  bus_index bus_of_key(std::string_view key) const {
    const bus_index pinned = pinned_bus(key);
    return pinned == no_bus ? rules_.default_key_bus : pinned;
  }

  /// The bus of all keys that begin with `prefix`; no_bus if the rules know, or may know, several.
  bus_index bus_of_prefix(std::string_view prefix) const;

  /// The bus that the first matching channel rule names for PUBLISH; no_bus if there is none.
  bus_index channel_bus(std::string_view channel) const;

  struct type_match {
    bus_index bus = no_bus;
    bool by_glob = false;
  };
  /// The bus for a message type by exact name, else by the first matching glob, else no_bus.
  type_match match_type(std::string_view type) const;

  /// The buses, by bit, on which messages of that type are answered when they are confirmed.
  std::uint32_t confirming_buses(std::string_view type) const;
  /// True if every write of the bus is answered when it is confirmed.
  bool confirms_all(bus_index bus) const {
    return rules_.buses[bus].confirms && rules_.buses[bus].confirmed_types.empty();
  }
  /// True if that is so for messages of some types.
  bool confirms_types(bus_index bus) const {
    return rules_.buses[bus].confirms && !rules_.buses[bus].confirmed_types.empty();
  }

 private:
  struct key_pattern {
    std::string text;
    bus_index bus;
    enum class kind : std::uint8_t { exact, prefix, glob } form;
  };
  struct string_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  routing_rules rules_;
  std::vector<key_pattern> keys_;
  std::unordered_map<std::string, bus_index, string_hash, std::equal_to<>> exact_types_;
  std::vector<match_rule> type_globs_;
};

}  // namespace dualbus::command
