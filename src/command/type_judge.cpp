#include "json_reader.hpp"

#include <dualbus/command/type_judge.hpp>

#include <algorithm>
#include <string>

namespace dualbus::command {
namespace {

constexpr std::string_view other_form = "something that may be JSON in another form than plain UTF-8";

std::string unescaped(std::string_view token) {
  std::string name;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size();
    name += escape ? (token[++i] == '0' ? '~' : '/') : token[i];
  }
  return name;
}

// True if a member on the way of a JSON pointer stands twice in its object.
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

bool has_index(std::string_view pointer) {
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view token = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(token.size());
    if (!token.empty() && token.find_first_not_of("0123456789") == std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

type_judge::type_judge(const routing_rules& rules, json_reader& reader)
    : rules_(rules), reader_(reader), through_arrays_(has_index(reader.pointer)) {}

bool type_judge::may_name_type(std::string_view field) const {
  return std::find(rules_.json_fields.begin(), rules_.json_fields.end(), field) != rules_.json_fields.end();
}

type_judge::finding type_judge::look(std::string_view text) const {
  // A member needs a brace, whatever the text's encoding; a backslash may stand for one in JSON that holds
  // JSON as a string.
  if (text.find_first_of(through_arrays_ ? "{[\\" : "{\\") == std::string_view::npos) return {};
  const std::string_view document = document_in(text);
  if (document.empty()) return {{}, other_form};
  simdjson::dom::element root;
  const simdjson::error_code refused =
      reader_.parser.parse(document.data(), document.size(), false).get(root);
  if (refused == simdjson::SUCCESS) return look_parsed();
  const bool is_utf8 = simdjson::validate_utf8(document.data(), document.size());
  const std::string_view type = is_utf8 ? reader_.search.find_sole(document) : std::string_view();
  return type.data() != nullptr ? finding{type, {}} : finding{{}, json_fault_text(fault_of(refused))};
}

// Looks at the text that the parser has just read.
type_judge::finding type_judge::look_parsed() const {
  const simdjson::dom::element root = reader_.parser.doc.root();
  if (root.is_array() && !through_arrays_) return {{}, "a list"};
  if (names_twice(root, reader_.pointer)) return {{}, "the type twice"};
  simdjson::dom::element member;
  if (root.at_pointer(reader_.pointer).get(member) != simdjson::SUCCESS) return {};
  std::string_view type;
  if (member.get(type) != simdjson::SUCCESS) return {{}, "a type that is no string"};
  return {type, {}};
}

type_judge::verdict type_judge::of_text(std::string_view text, const test& permits) const {
  const finding found = look(text);
  if (!found.unclear.empty()) return {false, {}, found.unclear};
  return {permits(found.type), {}, {}};
}

type_judge::verdict type_judge::of_entry(resp::arguments args, const xadd_arguments& where,
                                         const test& permits) const {
  bool named = false;
  for (std::size_t i = where.fields; i + 1 < args.size(); i += 2) {
    if (args[i] != rules_.field) continue;
    if (!permits(args[i + 1])) return {};
    named |= !args[i + 1].empty();  // to many programs an empty field is a missing one
  }
  if (named) return {true, {}, {}};
  for (std::size_t i = where.fields; i + 1 < args.size(); i += 2) {
    if (!may_name_type(args[i])) continue;
    const finding found = look(args[i + 1]);
    if (!found.unclear.empty()) return {false, args[i], found.unclear};
    if (found.type.data() == nullptr) continue;
    if (!permits(found.type)) return {};
    named |= !found.type.empty();
  }
  return {named || permits({}), {}, {}};
}

}  // namespace dualbus::command
