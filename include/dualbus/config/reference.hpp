#pragma once

#include <string>

namespace dualbus::config {

/// The documentation of every key in Markdown, made from the table that validates. docs/configuration.md is
/// this text.
std::string reference_markdown();

}  // namespace dualbus::config
