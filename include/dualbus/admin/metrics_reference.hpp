#pragma once

#include <string>

namespace dualbus::admin {

/// The documentation of every metric, as Markdown: docs/metrics.md.
std::string metrics_reference_markdown();

}  // namespace dualbus::admin
