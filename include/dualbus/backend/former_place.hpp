#pragma once

#include <dualbus/backend/link.hpp>

namespace dualbus::backend {

/// A place that a bus has left in a planned move, while clients still wait on connections to it. The server
/// there has to be told to end their waits, on a connection to itself: another server may have given the same
/// CLIENT ID to somebody else. So the bus's shared connection to it lives on here.
class former_place final : public link_heir {
 public:
  /// `with` still describes the place; `present` is the bus's connection to it.
  former_place(const link_environment& with, const connection& present);
  ~former_place();

  void take_connection(link& of, base::time_point now) override;
  /// Connects by itself if it has inherited no connection.
  void begin(base::time_point now);
  pipeline& requests() { return link_.requests; }
  bool idle() const { return link_.requests.idle(); }
  void flush(base::time_point now) { link_.socket.flush(now); }
  void tick(base::time_point now);

 private:
  config::bus_settings target_;
  metrics::bus_metrics unseen_;
  const link_environment environment_;
  link link_;
};

}  // namespace dualbus::backend
