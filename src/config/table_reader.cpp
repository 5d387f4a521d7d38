#include "table_reader.hpp"

#include "nearest.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace dualbus::config {
namespace {

// Keys that other software would take here, and what to use instead.
struct refused_key {
  std::string_view path, text;
};
constexpr refused_key refused_keys[] = {
    {"auth.users.*.password",
     "a password does not belong in this file; put its SHA-256 into password_hashes, or name a file in "
     "password_file or an environment variable in password_env"},
    {"auth.users.*.passwords",
     "a password does not belong in this file; put the SHA-256 of each into password_hashes"},
    {"buses.*.password",
     "a password does not belong in this file; put it into a file and name that in password_file, or into an "
     "environment variable and name that in password_env"},
    {"buses.*.sentinel.password",
     "a password does not belong in this file; put it into a file and name that in password_file, or into an "
     "environment variable and name that in password_env"},
};

std::string element_path(const std::string& list, std::size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

}  // namespace

void table_reader::read(const node& root) {
  read_section(root, {1, 1}, "", "", {});
}

position table_reader::where(std::string_view path) const {
  for (std::string rest(path); !rest.empty();) {
    if (const auto found = marks_.find(rest); found != marks_.end()) return found->second.at;
    const std::size_t end = rest.find_last_of(".[");
    rest.resize(end == std::string::npos ? 0 : end);
  }
  return {1, 1};
}

bool table_reader::accepted(std::string_view path) const {
  const auto found = marks_.find(std::string(path));
  return found != marks_.end() && found->second.accepted;
}

bool table_reader::refused(std::string_view path) const {
  const auto found = marks_.find(std::string(path));
  return found != marks_.end() && !found->second.accepted;
}

void table_reader::read_child(const node& n, position at, const std::string& pattern, const std::string& path,
                              place here) {
  marks_[path] = {at, false};
  if (n.is == node::kind::refused) return;
  if (const key_row* row = find_row(pattern)) {
    read_setting(n, *row, path, here);
  } else {
    read_section(n, at, pattern, path, here);
  }
}

void table_reader::read_section(const node& n, position at, const std::string& pattern,
                                const std::string& path, place here) {
  const bool of_elements = !children_of(pattern).empty() && children_of(pattern).front() == "[]";
  const section_row* section = find_section(pattern);
  if (n.is == (of_elements ? node::kind::list : node::kind::map)) {
    marks_[path].accepted = true;
    of_elements ? read_sequence(n, pattern, path) : read_map(n, pattern, path, here);
  } else if (n.is == node::kind::nothing) {
    // All of a section may be commented out.
    marks_[path].accepted = true;
  } else if (n.is == node::kind::scalar && section != nullptr && !section->shorthand.empty()) {
    read_child(n, n.at, child_path(pattern, section->shorthand), path, here);
    return;
  } else if (n.is != node::kind::refused) {
    report_.mistake(n.at, path,
                    std::string("must be ") + (of_elements ? "a list" : "a map of settings") + ", not " +
                        description(n, !may_be_secret(pattern)));
    return;
  }
  if (!of_elements) require(pattern, n, at, path);
}

void table_reader::read_map(const node& map, const std::string& pattern, const std::string& path,
                            place here) {
  const std::vector<std::string_view> children = children_of(pattern);
  const bool named = children.front() == "*";
  for (std::size_t i = 0; i < map.keys.size(); ++i) {
    const node::key& key = map.keys[i];
    if (!named && std::find(children.begin(), children.end(), key.text) == children.end()) {
      unknown(key, pattern, path);
      continue;
    }
    const std::string child_pattern = child_path(pattern, named ? "*" : key.text);
    const node& item = map.items[i];
    const position at = item.is == node::kind::scalar ? item.at : key.at;
    place inside = here;
    if (named) inside = {i, key.text};
    if (child_pattern == "auth.users.*") draft_.config.auth.users.emplace_back().name = key.text;
    if (child_pattern == "buses.*") {
      draft_.config.buses.emplace_back();
      draft_.config.routing.buses.push_back({.name = key.text, .id_slot = 0, .draining = false});
    }
    read_child(item, at, child_pattern, child_path(path, key.text), inside);
  }
}

void table_reader::read_sequence(const node& list, const std::string& pattern, const std::string& path) {
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (pattern == "routing.keys") draft_.keys.emplace_back();
    if (pattern == "routing.channels") draft_.channels.emplace_back();
    const std::string element = element_path(path, i);
    const node& item = list.items[i];
    if (item.is == node::kind::map) {
      read_child(item, item.at, child_path(pattern, "[]"), element, {i, {}});
    } else if (item.is != node::kind::refused) {
      const section_row* section = find_section(pattern);
      const std::string_view example = section == nullptr ? std::string_view() : section->example;
      report_.mistake(item.at, element,
                      "must be a map of settings" +
                          (example.empty() ? "" : " such as " + std::string(example)) + ", not " +
                          description(item, !may_be_secret(pattern)));
    }
  }
}

void table_reader::read_setting(const node& n, const key_row& row, const std::string& path, place here) {
  value read;
  const bool is_list = row.type == value_type::text_list || row.type == value_type::endpoint_list;
  const bool good = is_list ? read_list(n, row, path, read) : check(n, row, path, read);
  // A list with mistakes is kept for the checks that look at its other elements.
  if (good || !read.list.empty()) row.bind.store(draft_, here, std::move(read));
  marks_[path].accepted = good;
}

bool table_reader::read_list(const node& n, const key_row& row, const std::string& path, value& out) {
  if (n.is != node::kind::list) {
    report_.mistake(n.at, path, "must be a list, not " + description(n, !may_be_secret(row.path)));
    return false;
  }
  bool good = true;
  for (std::size_t i = 0; i < n.items.size(); ++i) {
    const node& item = n.items[i];
    const std::string element = element_path(path, i);
    value one;
    if (item.is != node::kind::refused && check(item, row, element, one)) {
      marks_[element] = {item.at, true};
    } else {
      good = false;
      one.text.clear();
    }
    out.list.push_back(std::move(one.text));
  }
  return good;
}

bool table_reader::check(const node& n, const key_row& row, const std::string& path, value& out) {
  std::string problem;
  if (n.is == node::kind::scalar) {
    problem = read_scalar(row, n.text, out);
  } else if (n.is == node::kind::nothing) {
    problem = "has no value";
  } else {
    problem = "must be a single value, not " + description(n, !may_be_secret(row.path));
  }
  if (!problem.empty()) report_.mistake(n.at, path, problem);
  return problem.empty();
}

void table_reader::require(const std::string& pattern, const node& map, position at,
                           const std::string& path) {
  for (const std::string_view child : children_of(pattern)) {
    const key_row* row = find_row(child_path(pattern, child));
    if (row == nullptr || !row->required) continue;
    const bool given = std::any_of(map.keys.begin(), map.keys.end(),
                                   [child](const node::key& key) { return key.text == child; });
    if (!given) report_.mistake(at, child_path(path, child), "is required");
  }
}

void table_reader::unknown(const node::key& key, const std::string& pattern, const std::string& path) {
  const std::string full = child_path(path, key.text);
  for (const refused_key& refused : refused_keys) {
    if (refused.path == child_path(pattern, key.text)) {
      report_.mistake(key.at, full, refused.text);
      return;
    }
  }
  report_.mistake(key.at, full, unknown_name("key", key.text, children_of(pattern)));
}

}  // namespace dualbus::config
