#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/client/answer_times.hpp>
#include <dualbus/client/running_request.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/client/turn.hpp>
#include <dualbus/metrics/worker_metrics.hpp>
#include <dualbus/operation/bus_list.hpp>
#include <dualbus/operation/durable_writes.hpp>
#include <dualbus/operation/routing.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::operation {

using client::session;

/// The parts of its worker that every operation uses. All outlive the operations.
struct environment {
  client::turn& turn;
  bus_list& buses;
  operation::routing& routing;
  metrics::worker_metrics& metrics;
  client::answer_times& times;
  base::chunk_pool& chunks;  ///< of replies
  durable_writes& durable;

  const config::configuration& configuration() const { return routing.configuration(); }
};

/// A client's request that buses answer, until its reply stands in the client's output.
class request_operation : public backend::reply_sink, public client::running_request {
 public:
  /// Takes over `request.change`.
  request_operation(environment& environment, session& owner, routed_request& request)
      : running_request(owner, request),
        env_(environment),
        database_(owner.database()),
        change_(std::move(request.change)) {}
  request_operation(const request_operation&) = delete;
  request_operation& operator=(const request_operation&) = delete;

  bool abandoned() const final { return owner_ == nullptr; }
  std::uint64_t client() const final { return owner_ == nullptr ? 0 : owner_->id(); }

 protected:
  environment& env_;
  const std::uint8_t database_;  // the client's, when the request came

 private:
  stream::key_change change_;
};

// --- texts for requests without a bus's answer to pass on

/// The error reply, without '-', and the outcome as which it counts.
std::string failure_text(const environment& environment, command::bus_index bus, backend::failure why);
metrics::outcome outcome_of(backend::failure why);
/// The same for replies that are RESP, but that Redis does not give to the request.
std::string nonsense_text(std::string_view who);
/// The error for a client that needs one more connection than there may be.
std::string no_connection_text(const environment& environment, command::bus_index bus);
/// The error for a request that was not sent because memory is short.
inline constexpr std::string_view out_of_memory_text =
    "OOM command not allowed when used memory is near 'limits.memory' of dualbusd: it was not sent";
void refuse_without_memory(environment& environment, session& client, const client::request& request);

}  // namespace dualbus::operation
