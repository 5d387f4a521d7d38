#pragma once

#include "report.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::config {

/// A YAML document as written: scalars are text, and nothing is resolved or converted.
struct node {
  enum class kind : std::uint8_t {
    nothing,
    scalar,
    list,
    map,
    refused  ///< reported already, and to be passed over in silence
  };
  struct key {
    std::string text;
    position at;
  };

  kind is = kind::nothing;
  position at;  ///< of the value; of its key if the value is nothing
  std::string text;
  std::vector<key> keys;    ///< of a map, one for each of `items`, no two alike
  std::vector<node> items;  ///< of a map or list
};

/// Deeper nesting is refused. The deepest setting of the file lies 4 deep.
inline constexpr std::size_t max_depth = 16;

/// Parses one document. Reports what YAML or this daemon refuses: syntax errors, a key twice in a map, keys
/// that are no scalars, aliases, tags, a second document, depth, bytes that are not UTF-8 text. The other
/// values are returned even then; nothing is returned if the document is not `complete`.
struct yaml_tree {
  node root;
  bool complete = false;  ///< the document was read to its end
};
yaml_tree read_yaml(std::string_view text, report& findings);

/// "a map", "a list", "'text'" or "nothing", for messages; "a single value" in place of a text that may not
/// be `repeated`.
std::string description(const node& n, bool repeated);

}  // namespace dualbus::config
