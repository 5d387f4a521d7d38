#pragma once

#include "api_client.hpp"

#include <cstddef>
#include <string>

namespace dualbus::ctl {

/// What the screen of `dualbusctl top` shows; keys change it.
struct top_view {
  std::string table = "engines";       ///< below the buses: engines, types or clients
  std::string order = "requests_10s";  ///< the column that decides on the order
  std::string window = "10s";          ///< of the rates that are shown
};

/// One screen: the daemon, its buses, and a table, in at most so many lines and columns.
std::string top_screen(const api_client& daemon, const top_view& view, std::size_t lines,
                       std::size_t columns);

/// Takes one key; false if it means the end.
bool top_key(top_view& view, char key);

/// Shows a screen every second until the user ends it. Restores the terminal.
int run_top(const api_client& daemon);

}  // namespace dualbus::ctl
