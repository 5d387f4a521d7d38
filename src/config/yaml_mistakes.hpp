#pragma once

#include "report.hpp"

#include <string>
#include <string_view>

namespace dualbus::config {

struct yaml_mistake {
  position at;
  std::string text;
};

/// A mistake as the parser tells it, or, for what people often get wrong, in plain words with the remedy: a
/// tab in the indentation, and a `*` without quotes. `file` is the whole text.
yaml_mistake explain_mistake(std::string_view file, position at, std::string_view parser_says);

}  // namespace dualbus::config
