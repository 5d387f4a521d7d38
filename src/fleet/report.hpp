#pragma once

#include "fleet.hpp"
#include "options.hpp"

#include <string>

namespace dualbus::fleet {

/// The results of the run as lines for people.
std::string text_report(const options& o, const fleet& run);
/// The same for programs: one JSON object.
std::string json_report(const options& o, const fleet& run);

}  // namespace dualbus::fleet
