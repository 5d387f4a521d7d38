#include <dualbus/base/log.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/classifier.hpp>
#include <dualbus/command/json_search.hpp>

#include <optional>

#include <simdjson.h>

namespace dualbus::command {
namespace {

static_assert(simdjson::SIMDJSON_PADDING <= base::read_buffer::padding);

constexpr std::string_view rule_names[] = {"type", "glob", "json", "key", "channel", "default"};
constexpr std::string_view json_fault_names[] = {"number", "string", "size", "depth", "syntax"};
constexpr std::string_view json_fault_texts[] = {
    "a number that is malformed or too large", "a string that is not closed or no valid Unicode",
    "more than 4 MiB", "more than 1024 levels", "NaN, or something else that JSON does not have,"};

json_fault fault_of(simdjson::error_code error) {
  switch (error) {
    case simdjson::NUMBER_ERROR:
      return json_fault::number;
    case simdjson::STRING_ERROR:
    case simdjson::UTF8_ERROR:
    case simdjson::UNESCAPED_CHARS:
    case simdjson::UNCLOSED_STRING:
      return json_fault::string;
    case simdjson::CAPACITY:
      return json_fault::size;
    case simdjson::DEPTH_ERROR:
      return json_fault::depth;
    default:
      return json_fault::syntax;
  }
}

// Behind what some programs put in front of UTF-8, and blanks. Empty if what stands there can hold no member:
// telling so here spares the parser.
std::string_view document_in(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  const bool container = start != std::string_view::npos && (text[start] == '{' || text[start] == '[');
  return container ? text : std::string_view();
}

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

std::string unescaped(std::string_view token) {
  std::string name;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size();
    name += escape ? (token[++i] == '0' ? '~' : '/') : token[i];
  }
  return name;
}

// Whether a member on the way of a JSON pointer stands twice in its object.
bool names_twice(simdjson::dom::element at, std::string_view pointer) {
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view token = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(token.size());
    simdjson::dom::object object;
    if (at.get(object) != simdjson::SUCCESS) {
      if (at.at_pointer("/" + std::string(token)).get(at) != simdjson::SUCCESS) return false;
      continue;
    }
    const std::string name = unescaped(token);
    int found = 0;
    for (const simdjson::dom::key_value_pair member : object) {
      if (member.key == name && ++found == 1) at = member.value;
    }
    if (found != 1) return found > 1;
  }
  return false;
}

bool stands_twice(resp::arguments args, const xadd_arguments& where, std::string_view field) {
  int found = 0;
  for (std::size_t i = where.fields; i + 1 < args.size(); i += 2) found += args[i] == field ? 1 : 0;
  return found > 1;
}

}  // namespace

std::string_view json_fault_name(json_fault f) {
  return json_fault_names[static_cast<std::size_t>(f)];
}

std::string_view rule_name(rule r) {
  return rule_names[static_cast<std::size_t>(r)];
}

struct classifier::json_reader {
  // In larger documents the type is searched for: the parser would need many times their size, and keep it.
  static constexpr std::size_t max_document_bytes = std::size_t{4} << 20;
  simdjson::dom::parser parser{max_document_bytes};
  std::string pointer;
  json_search search;
  simdjson::error_code refused = simdjson::SUCCESS;  // what the parser said of the last document

  explicit json_reader(std::string path) : pointer(std::move(path)), search(pointer) {}
};

classifier::classifier(const routing_table& table, message_counters& counters)
    : table_(table),
      counters_(counters),
      json_(std::make_unique<json_reader>(table.rules().json_pointer.empty() ? pointer_to(table.rules().field)
                                                                             : table.rules().json_pointer)) {}

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
  json_->refused = json_->parser.parse(document.data(), document.size(), false).get(root);
  std::string_view type;
  if (json_->refused == simdjson::SUCCESS)
    return root.at_pointer(json_->pointer).get(type) == simdjson::SUCCESS ? type : std::string_view();
  type = json_->search.find(document);
  if (count) note_refused(type.data() != nullptr);
  return type;
}

void classifier::note_refused(bool found) {
  const auto fault = static_cast<std::size_t>(fault_of(json_->refused));
  std::array<std::uint64_t, 2>& counts = counters_.refused_json[fault];
  if (counts[0] + counts[1] == 0) {
    base::warn_limited(json_fault_texts[fault],
                       "JSON with {} was searched for the message type byte by byte, and it was {}; "
                       "dualbus_json_refused_total counts such texts from now on",
                       json_fault_texts[fault], found ? "found" : "not found");
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

std::string_view classifier::sole_type_of_json(std::string_view text) {
  const std::string_view type = type_of_json(text);
  if (type.data() == nullptr) return {};
  if (json_->refused != simdjson::SUCCESS) {
    const std::string_view document = document_in(text);
    if (!simdjson::validate_utf8(document.data(), document.size())) return {};
    return json_->search.find_sole(document);
  }
  // The parser still has what it has just read.
  return names_twice(json_->parser.doc.root(), json_->pointer) ? std::string_view() : type;
}

std::string_view classifier::sole_type_of(resp::arguments args, const xadd_arguments& where) {
  const routing_rules& rules = table_.rules();
  if (stands_twice(args, where, rules.field)) return {};
  const std::string_view type = find_field(args, where, rules.field);
  if (type.data() != nullptr) return type;
  std::string_view deciding;  // the JSON that does
  for (const std::string& field : rules.json_fields) {
    if (stands_twice(args, where, field)) return {};
    const std::string_view text = find_field(args, where, field);
    if (type_of_json(text).data() == nullptr) continue;
    if (!deciding.empty()) return {};
    deciding = text;
  }
  return sole_type_of_json(deciding);
}

classifier::known_type classifier::look_up(std::string_view type, bool remember) {
  if (const auto found = known_.find(type); found != known_.end()) return found->second;
  const routing_table::type_match match = table_.match_type(type);
  known_type result{match.bus, match.by_glob, nullptr};
  if (!remember) return result;
  result.counts = &counters_.of(type);
  if (counters_.knows(type)) known_.emplace(std::string(type), result);
  return result;
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
    result = {pinned, rule::key};
  } else if (known.bus != no_bus) {
    result = {known.bus, from_json ? rule::json : known.by_glob ? rule::glob : rule::type};
  } else {
    result = {table_.rules().default_bus, rule::default_bus};
  }
  // What a draining bus does not take is routed nowhere.
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
