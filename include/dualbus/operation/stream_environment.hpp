#pragma once

#include <dualbus/operation/parking_lot.hpp>
#include <dualbus/operation/poll_absorber.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/stream/key_changes.hpp>

namespace dualbus::operation {

/// The parts of its worker that operations on streams use in addition.
struct stream_environment : environment {
  parking_lot& parking;
  poll_absorber& polls;
  stream::key_changes& changes;  ///< of the daemon
};

}  // namespace dualbus::operation
