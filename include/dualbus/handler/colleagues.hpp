#pragma once

#include <dualbus/client/client_directory.hpp>
#include <dualbus/client/refusal_counts.hpp>
#include <dualbus/client/slow_log.hpp>
#include <dualbus/client/turn.hpp>
#include <dualbus/handler/traffic_gate.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <functional>
#include <string>
#include <vector>

namespace dualbus::handler {

class colleagues;

/// The parts of a worker that clients of all workers may ask about.
struct colleague {
  client::turn& turn;
  client::client_directory& clients;
  traffic_gate& gate;
  client::slow_log& slow_log;
  const metrics::worker_metrics& metrics;
  const client::refusal_counts& refusals;
  colleagues& all;
};

/// The workers of the daemon, this one among them.
class colleagues {
 public:
  using question = std::function<std::string(colleague&)>;
  using answers = std::function<void(std::vector<std::string>)>;

  /// Asks every worker something on its own thread, and hands the answers, in the order of the workers, to
  /// `done` on this worker's thread.
  virtual void ask(question asked, answers done) = 0;

 protected:
  ~colleagues() = default;
};

}  // namespace dualbus::handler
