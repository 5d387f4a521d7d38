#pragma once

#include <dualbus/base/name_table.hpp>
#include <dualbus/command/json_fault.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/command/type_judge.hpp>
#include <dualbus/command/xadd_arguments.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dualbus::command {

/// The rule that sent a message to its bus.
enum class rule : std::uint8_t {
  type,        ///< exact name of the type in the message's field
  glob,        ///< glob that the type in the message's field matches
  json,        ///< exact name or glob, of a type found in a JSON field
  key,         ///< the key is pinned
  channel,     ///< a channel rule matched; PUBLISH only
  default_bus  ///< nothing matched
};
inline constexpr std::size_t rule_count = 6;
std::string_view rule_name(rule r);

/// JSON texts that the parser refused: by reason, and by whether a type was found nevertheless (1) or not
/// (0).
using json_fault_counts = std::array<std::array<std::uint64_t, 2>, json_fault_count>;

/// Messages by type: per bus, by rule.
using message_row = std::vector<std::array<std::uint64_t, rule_count>>;

/// Messages by type, bus and rule, for one worker; a message without a type counts under "".
class message_counters final : public base::name_table<message_row> {
 public:
  using row = message_row;
  message_counters(std::size_t buses, std::size_t max_names) : name_table(max_names, row(buses)) {}

  json_fault_counts refused_json{};  ///< counts PUBLISH as well
};

struct classification {
  bus_index bus = no_bus;
  command::rule rule = rule::default_bus;
  bool confirm = false;  ///< the bus confirms messages of this type (bus_rules::confirms)
};

/// Decides on the bus of an XADD and counts the decision. One per worker and routing table: it remembers its
/// findings about each type, so that a known type costs one look-up. Nothing is allocated for known types.
class classifier {
 public:
  /// Both outlive the classifier.
  classifier(const routing_table& table, message_counters& counters);
  ~classifier();
  classifier(const classifier&) = delete;
  classifier& operator=(const classifier&) = delete;

  /// The bus may be draining if a rule pins the key to it; such a message must be refused, and is not
  /// counted. `where` is the parsed XADD. After each argument, read_buffer::padding bytes must be readable:
  /// simdjson reads that far.
  classification classify(resp::arguments args, const xadd_arguments& where);
  /// The same without counting.
  classification explain(resp::arguments args, const xadd_arguments& where);
  /// The type that the message names, in its field or else in JSON; a null view if it names none. Valid until
  /// the next call. If the parser refuses the JSON, json_search finds the type.
  std::string_view type_of(resp::arguments args, const xadd_arguments& where);
  /// The same for a message that is one JSON text.
  std::string_view type_of_json(std::string_view text);
  /// For permissions. The text that the judge's verdicts refer to is valid until the next call of any
  /// function here.
  const type_judge& judge() const { return judge_; }
  /// The bus of PUBLISH and SPUBLISH: by the type in a JSON payload, else by the first channel rule that
  /// matches, else the default bus. Only JSON that the parser refuses is counted, if `count`. After
  /// `payload`, as many bytes must be readable.
  classification classify_publish(std::string_view channel, std::string_view payload, bool count = true);

 private:
  struct known_type {
    bus_index bus;
    bool by_glob;
    std::uint32_t confirming;  // buses, by bit
    message_counters::row* counts;
  };
  struct string_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::string_view type_in_fields(resp::arguments args, const xadd_arguments& where, bool count);
  std::string_view read_json(std::string_view text, bool count);
  void note_refused(json_fault fault, bool found);
  known_type look_up(std::string_view type, bool remember);
  bool confirms_pinned(bus_index bus, std::string_view type, std::uint32_t confirming, resp::arguments args,
                       const xadd_arguments& where);
  classification decide(resp::arguments args, const xadd_arguments& where, bool count);

  const routing_table& table_;
  message_counters& counters_;
  std::unordered_map<std::string, known_type, string_hash, std::equal_to<>> known_;
  std::unique_ptr<json_reader> json_;
  type_judge judge_;
};

}  // namespace dualbus::command
