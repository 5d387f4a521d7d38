#include "json_reader.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/classifier.hpp>

#include <optional>

#include <simdjson.h>

namespace dualbus::command {
namespace {

static_assert(simdjson::SIMDJSON_PADDING <= base::read_buffer::padding);

constexpr std::string_view rule_names[] = {"type", "glob", "json", "key", "channel", "default"};
// A member's name as a JSON pointer token.
std::string pointer_to(std::string_view name) {
  std::string pointer = "/";
  for (const char c : name) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

}  // namespace

std::string_view rule_name(rule r) {
  return rule_names[static_cast<std::size_t>(r)];
}

classifier::classifier(const routing_table& table, message_counters& counters)
    : table_(table),
      counters_(counters),
      json_(std::make_unique<json_reader>(table.rules().json_pointer.empty() ? pointer_to(table.rules().field)
                                                                             : table.rules().json_pointer)),
      judge_(table.rules(), *json_) {}

classifier::~classifier() = default;

std::string_view classifier::type_in_fields(resp::arguments args, const xadd_arguments& where, bool count) {
  for (const std::string& field : table_.rules().json_fields) {
    const std::string_view type = read_json(find_field(args, where, field), count);
    if (type.data() != nullptr) return type;
  }
  return {};
}

std::string_view classifier::read_json(std::string_view text, bool count) {
  const std::string_view document = document_in(text);
  if (document.empty()) return {};
  simdjson::dom::element root;
  const simdjson::error_code refused = json_->parser.parse(document.data(), document.size(), false).get(root);
  std::string_view type;
  if (refused == simdjson::SUCCESS)
    return root.at_pointer(json_->pointer).get(type) == simdjson::SUCCESS ? type : std::string_view();
  type = json_->search.find(document);
  if (count) note_refused(fault_of(refused), type.data() != nullptr);
  return type;
}

void classifier::note_refused(json_fault fault, bool found) {
  const std::string_view text = json_fault_text(fault);
  std::array<std::uint64_t, 2>& counts = counters_.refused_json[static_cast<std::size_t>(fault)];
  if (counts[0] + counts[1] == 0) {
    base::warn_limited(text,
                       "JSON with {} was searched for the message type byte by byte, and it was {}; "
                       "dualbus_json_refused_total counts such texts from now on",
                       text, found ? "found" : "not found");
  }
  ++counts[found ? 1 : 0];
}

std::string_view classifier::type_of_json(std::string_view text) {
  return read_json(text, false);
}

std::string_view classifier::type_of(resp::arguments args, const xadd_arguments& where) {
  const std::string_view type = find_field(args, where, table_.rules().field);
  return type.data() == nullptr ? type_in_fields(args, where, false) : type;
}

classifier::known_type classifier::look_up(std::string_view type, bool remember) {
  if (const auto found = known_.find(type); found != known_.end()) return found->second;
  const routing_table::type_match match = table_.match_type(type);
  known_type result{match.bus, match.by_glob, table_.confirming_buses(type), nullptr};
  if (!remember) return result;
  result.counts = &counters_.of(type);
  if (counters_.knows(type)) known_.emplace(std::string(type), result);
  return result;
}

// For its routing, the type of a message to a pinned key does not matter, and is not looked for in JSON.
bool classifier::confirms_pinned(bus_index bus, std::string_view type, std::uint32_t confirming,
                                 resp::arguments args, const xadd_arguments& where) {
  if (type.data() == nullptr && table_.confirms_types(bus)) {
    const std::string_view within = type_in_fields(args, where, false);
    if (within.data() != nullptr) confirming = look_up(within, false).confirming;
  }
  return (confirming >> bus & 1) != 0;
}

classification classifier::decide(resp::arguments args, const xadd_arguments& where, bool count) {
  const bus_index pinned = table_.pinned_bus(args[1]);
  std::string_view type = find_field(args, where, table_.rules().field);
  bool from_json = false;
  // The first field that names a type wins, even if no rule knows that type.
  if (type.data() == nullptr && pinned == no_bus && !table_.rules().json_fields.empty()) {
    type = type_in_fields(args, where, count);
    from_json = type.data() != nullptr;
  }
  const known_type known = look_up(type, count);
  classification result;
  if (pinned != no_bus) {
    result = {pinned, rule::key, confirms_pinned(pinned, type, known.confirming, args, where)};
  } else if (known.bus != no_bus) {
    result = {known.bus, from_json ? rule::json : known.by_glob ? rule::glob : rule::type};
    result.confirm = (known.confirming >> known.bus & 1) != 0;
  } else {
    result = {table_.rules().default_bus, rule::default_bus};
    result.confirm = (known.confirming >> result.bus & 1) != 0;
  }
  // A message that a draining bus refuses is not counted.
  if (count && !table_.bus(result.bus).draining)
    ++(*known.counts)[result.bus][static_cast<std::size_t>(result.rule)];
  return result;
}

classification classifier::classify(resp::arguments args, const xadd_arguments& where) {
  return decide(args, where, true);
}

classification classifier::classify_publish(std::string_view channel, std::string_view payload, bool count) {
  const std::string_view type = read_json(payload, count);
  if (type.data() != nullptr) {
    const bus_index bus = look_up(type, false).bus;
    if (bus != no_bus) return {bus, rule::json};
  }
  const bus_index ruled = table_.channel_bus(channel);
  if (ruled != no_bus) return {ruled, rule::channel};
  return {table_.rules().default_bus, rule::default_bus};
}

classification classifier::explain(resp::arguments args, const xadd_arguments& where) {
  return decide(args, where, false);
}

}  // namespace dualbus::command
