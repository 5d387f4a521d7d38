#pragma once

#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/base/poller.hpp>
#include <dualbus/client/access_control.hpp>
#include <dualbus/client/answer_times.hpp>
#include <dualbus/client/client_places.hpp>
#include <dualbus/client/input_buffers.hpp>
#include <dualbus/client/memory_guard.hpp>
#include <dualbus/client/refusal_counts.hpp>
#include <dualbus/client/running_request.hpp>
#include <dualbus/client/slow_log.hpp>
#include <dualbus/client/turn.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/metrics/engine_table.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

namespace dualbus::client {

/// Owns the sessions of a worker.
class session_owner {
 public:
  /// Null if there is no such client any more.
  virtual session* find(std::uint64_t id) const = 0;
  /// The session has ended; it is freed at the end of the turn.
  virtual void retire(session& client) = 0;

 protected:
  ~session_owner() = default;
};

/// The parts of its worker that a session uses. All belong to the worker's thread, except `places`, and
/// outlive the sessions.
struct session_environment {
  client::turn& turn;
  base::poller& poller;
  base::chunk_pool& chunks;
  base::object_pool<local_reply>& local_replies;
  input_buffers& input;
  memory_guard& memory;
  answer_times& times;
  client::slow_log& slow_log;
  metrics::worker_metrics& metrics;
  metrics::engine_table& engines;
  refusal_counts& refusals;
  client_places& places;  ///< of the daemon
  stranger_list& strangers;
  session_owner& owner;
  request_handler& handler;
  const access_control& access;  ///< changes with a reload
  const config::limit_settings& limits;
  std::size_t buses;  ///< their number
};

}  // namespace dualbus::client
