#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/key_changes.hpp>

#include <string_view>
#include <utility>

namespace dualbus::operation {

/// The way out for a request's commands: to the buses at once, or to the stage of a transaction.
class outlet {
 public:
  /// The pipeline to that bus for clients with that protocol and database.
  virtual backend::pipeline& requests(command::bus_index bus, resp::protocol version, int database) = 0;
  /// True for the stage: EXEC carries the request out. The request has one round, nothing waits, and it was
  /// counted when it was queued.
  virtual bool staged() const = 0;
  /// For the stage: an XADD to a key that somebody waits for was sent to the bus. The transaction owns `key`.
  virtual void note_added(command::bus_index bus, std::string_view key) = 0;
  /// For the stage: a write was sent to the bus that is to be confirmed.
  virtual void note_durable(command::bus_index bus) = 0;
  /// Memory ran out while a command was being encoded, for any bus: drops the encoded part.
  virtual void drop_unannounced() = 0;

 protected:
  ~outlet() = default;
};

/// A request on its way from the dispatcher to the operation that carries it out.
struct routed_request : client::request {
  routed_request(const client::request& taken, command::plan& planned, outlet& to)
      : client::request(taken), plan(planned), out(to) {}

  command::plan& plan;
  stream::key_change change;  ///< marks the keys that the request changes; its operation takes it
  outlet& out;
};

}  // namespace dualbus::operation
