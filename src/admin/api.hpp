#pragma once

#include "chart_history.hpp"
#include "daemon_snapshot.hpp"
#include "http_server.hpp"

#include <dualbus/console/recent.hpp>
#include <dualbus/handler/colleagues.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

/// The figures that the API shows. All are called, and used, on the admin thread.
struct api_sources {
  std::function<daemon_snapshot()> observe;
  std::function<console::recent()> recent;
  const chart_history& charts;
  /// Asks every worker, and waits for the answers. Throws std::runtime_error if one does not answer in time.
  std::function<std::vector<std::string>(handler::colleagues::question)> ask;
  std::string run_id;
  std::chrono::system_clock::time_point started;
};

/// The pages under /api/v1/: what DUALBUS says on the clients' port, as JSON. The sources outlive them.
std::vector<http_page> api_pages(const api_sources& sources);

/// The values of a query's parameter, in their order, decoded; see RFC 3986, and '+' is a blank.
std::vector<std::string> query_values(std::string_view query, std::string_view name);

/// The words of a command as somebody types them for redis-cli: between blanks, or in quotes. Empty if a
/// quote is not closed.
std::vector<std::string> command_words(std::string_view line);

}  // namespace dualbus::admin
