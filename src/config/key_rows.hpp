#pragma once

#include "key_row.hpp"

#include <span>

namespace dualbus::config {

// The keys by subject; key_rows() has all of them in this order.

/// The daemon itself: listeners, workers, log.
std::span<const key_row> server_rows();
/// Users and what they may do.
std::span<const key_row> auth_rows();
/// The buses, the connections to them, and leaving one.
std::span<const key_row> bus_rows();
/// The routing of requests, and the requests that never reach a bus.
std::span<const key_row> routing_rows();
/// The resources that clients may use.
std::span<const key_row> limit_rows();

}  // namespace dualbus::config
