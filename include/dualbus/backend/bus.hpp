#pragma once

#include <dualbus/backend/connection.hpp>

#include <memory>
#include <string>
#include <vector>

namespace dualbus::backend {

/// Gets told when a bus that was congested takes requests again.
class drain_listener {
 public:
  virtual void on_drained() = 0;

 protected:
  ~drain_listener() = default;
};

/// One worker's access to one bus: a shared pipeline and its connection per protocol version. The RESP3 one
/// comes up when a client first asks for it.
class bus {
 public:
  /// All outlive the bus; `settings` and `target` change with reloads.
  bus(boost::asio::io_context& io, base::poller& poller, base::chunk_pool& pool,
      const config::backend_settings& settings, const config::bus_settings& target,
      const pipeline_settings& requests, std::string name, metrics::bus_metrics& metrics);

  void start(base::time_point now);
  void stop(base::time_point now);

  pipeline& requests(resp::protocol version, base::time_point now);
  /// Writes what all pipelines hold; once per turn.
  void flush(base::time_point now);
  void tick(base::time_point now);

  const std::string& name() const { return name_; }
  const std::string& redis_version() const { return links_[0]->socket.redis_version(); }
  bool up() const { return links_[0]->socket.state() == metrics::connection_state::up; }

  /// Calls `listener` once, when the pipelines are no longer congested.
  void await_drain(drain_listener& listener) { waiting_.push_back(&listener); }
  void forget(drain_listener& listener);

  /// Fills in the gauges of this bus.
  void observe(metrics::bus_metrics& out) const;
  /// Nothing is queued or owed.
  bool idle() const;

 private:
  struct link {
    link(bus& owner, resp::protocol version);
    pipeline requests;
    connection socket;
  };

  boost::asio::io_context& io_;
  base::poller& poller_;
  base::chunk_pool& pool_;
  const config::backend_settings& settings_;
  const config::bus_settings& target_;
  const pipeline_settings& request_settings_;
  const std::string name_;
  metrics::bus_metrics& metrics_;
  std::unique_ptr<link> links_[2];  // RESP2, RESP3
  std::vector<drain_listener*> waiting_;
};

}  // namespace dualbus::backend
