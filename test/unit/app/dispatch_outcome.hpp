#pragma once

#include "dispatch_bench.hpp"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::app::test {

/// The fate of one request, in short words:
///
///   a            forwarded to bus a as it is
///   a*           forwarded to bus a, rewritten or in several requests
///   a+b, a+b*    likewise to both buses
///   own a        forwarded on a connection of its own
///   aside a+b    subscribed or watched at both buses, and no other request
///   daemon       answered by the daemon alone
///   refused …    refused by the daemon alone, with this text
///   parked …     without an answer though the buses have answered
///
/// A bus's answer that became an error has the text behind it: "a+b* -ERR …".
struct outcome {
  std::string text;
  std::size_t replies = 0;        ///< in the end
  bool answered_early = false;    ///< before any bus had answered, though buses were asked
  std::vector<std::string> said;  ///< all replies
};

/// The parts of transactions that are not the client's own requests, and those that only prepare for it.
inline bool is_wrapping(const words& request) {
  const std::string name = upper(request[0]);
  return name == "MULTI" || name == "EXEC" || name == "DISCARD" || name == "UNWATCH" || name == "SELECT";
}

/// The buses that were given anything, and how.
inline std::string places_of(const bench& on, const words& request) {
  std::set<std::string> shared, own, aside;
  bool as_is = true;
  for (const auto& bus : on.buses) {
    std::size_t count = 0;
    for (const delivery& d : bus->given) {
      if (is_wrapping(d.request) && !is_wrapping(request)) continue;
      (d.line == line_kind::shared ? shared : d.line == line_kind::own ? own : aside).insert(bus->name());
      if (d.line == line_kind::aside) continue;
      ++count;
      as_is &= d.request == request;
    }
    as_is &= count <= 1;
  }
  const std::set<std::string>& chosen = !own.empty() ? own : !shared.empty() ? shared : aside;
  std::string text = !own.empty() ? "own " : shared.empty() && !aside.empty() ? "aside " : "";
  for (const std::string& name : chosen) text += (text.empty() || text.back() == ' ' ? "" : "+") + name;
  return text + (as_is ? "" : "*");
}

/// Sends one request and looks what becomes of it. First the buses keep their answers back.
inline outcome run(bench& on, bench::client& from, const words& request) {
  outcome result;
  on.replies(from);
  on.forget_deliveries();
  on.hold_answers(true);
  on.send(from, request);
  result.said = on.replies(from);
  const std::string places = places_of(on, request);
  const bool asked = !places.empty() && !places.starts_with("aside");
  result.answered_early = asked && !result.said.empty();
  on.hold_answers(false);
  for (const std::string& more : on.replies(from)) result.said.push_back(more);
  result.replies = result.said.size();
  const bool error = result.replies > 0 && result.said[0][0] == '-';
  const std::string fault = error ? text_of_error(result.said[0]) : "";
  if (places.empty()) {
    result.text = result.replies == 0 ? "silent" : error ? "refused " + fault : "daemon";
  } else {
    // Rounds that follow the first one may go to more buses.
    result.text = places_of(on, request) + (error ? " -" + fault : "");
    if (result.replies == 0) result.text = "parked " + result.text;
  }
  return result;
}

/// True if it is what was expected; of a refusal the beginning of the text is enough.
inline bool fits(const std::string& actual, std::string_view expected) {
  return expected.starts_with("refused") || expected.find(" -") != std::string_view::npos
             ? actual.starts_with(expected)
             : actual == expected;
}

}  // namespace dualbus::app::test
