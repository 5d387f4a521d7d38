#pragma once

namespace dualbus::client {
class session;
}
namespace dualbus::operation {}

// Handlers are written in the words of the layer above.
namespace dualbus::handler {

using client::session;
using namespace operation;

}  // namespace dualbus::handler
