#pragma once

#include "call_counters.hpp"
#include "latency_histogram.hpp"
#include "ledger.hpp"
#include "message.hpp"

#include <dualbus/base/clock.hpp>

#include <array>
#include <cstdint>

namespace dualbus::fleet {

/// The figures of all engines. Latency is kept by the type's bus.
struct delivery_book {
  ledger entries;
  fleet_counters counters;
  std::uint32_t run;
  /// Messages published earlier than this do not count for the latency.
  base::time_point measured_from = base::time_point::max();
  bool publishing = true;
  std::array<latency_histogram, bus_classes> latency{};
  /// The latency of messages delivered after the last was published: the legacy loop may be waiting elsewhere
  /// for BLOCK.
  latency_histogram late{};
};

}  // namespace dualbus::fleet
