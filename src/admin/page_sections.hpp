#pragma once

#include "daemon_snapshot.hpp"

#include <dualbus/console/recent.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Parts of the page for people, as HTML.
namespace dualbus::admin {

/// Fit for the text of an element and for an attribute in quotes.
std::string escaped(std::string_view text);
/// A row of cells, which are HTML already; `tag` is "th" or "td".
std::string table_row(std::string_view tag, const std::vector<std::string>& cells);
/// A heading, and the rows as a table that may be wider than the page.
std::string table_section(std::string_view heading, const std::string& rows);
/// A number of bytes in the largest unit that fits; "-" if nobody knows it.
std::string byte_text(std::optional<double> value);

std::string bus_section(const daemon_snapshot& state);
/// Empty if no bus is draining.
std::string drain_section(const daemon_snapshot& state);
std::string engine_section(const daemon_snapshot& state, const console::recent& recent);
/// The rules for routing, and the messages that each decided on.
std::string rules_section(const daemon_snapshot& state, const console::recent& recent);
std::string message_section(const daemon_snapshot& state, const console::recent& recent);

}  // namespace dualbus::admin
