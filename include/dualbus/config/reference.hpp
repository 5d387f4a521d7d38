#pragma once

#include <string>

namespace dualbus::config {

/// The documentation of every key in Markdown, made from the table that validates. docs/configuration.md is
/// this text.
std::string reference_markdown();

/// The same as a manual page, dualbus.yaml(5).
std::string reference_manual();

/// A JSON Schema (draft-07, the one that editors know best) of the file, made from the same table. It knows
/// the keys and the form of each value, but not what keys must fulfil together: `--check-config` does.
std::string schema_json();

}  // namespace dualbus::config
