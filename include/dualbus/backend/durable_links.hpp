#pragma once

#include <dualbus/backend/durable_link.hpp>

#include <memory>
#include <vector>

namespace dualbus::backend {

/// One worker's durable links to one bus: one for each protocol and database that clients who need one use.
/// They are opened when needed, the one that most use at the start.
class durable_links {
 public:
  /// Outlives them.
  explicit durable_links(const link_environment& environment);
  ~durable_links();

  bool empty() const { return links_.empty(); }
  durable_link& of(resp::protocol version, int database, base::time_point now);
  /// See bus::give_up().
  void give_up(reply_sink& sink, base::time_point now);

  void start(base::time_point now);
  void stop(base::time_point now);
  bool delivered() const;
  void renew(base::time_point now);
  void drop_unannounced();
  void drop_large_unneeded();
  bool congested() const;
  bool holds_back() const;
  void receiving(std::vector<pipeline::incoming>& replies) const;
  void flush(base::time_point now);
  /// `moving`: none may end now, because their bus is about to have another place.
  void tick(base::time_point now, bool moving);
  void add_links(std::vector<link*>& all);
  void observe(metrics::bus_metrics& out) const;

 private:
  void follow_settings();

  const link_environment& shared_;
  config::backend_settings settings_;  // the bus's, with more patience while WAIT is out
  metrics::bus_metrics counted_;       // of these connections; WAIT is no request whose time counts
  const link_environment environment_;
  std::vector<std::unique_ptr<durable_link>> links_;
};

}  // namespace dualbus::backend
