#pragma once

#include <dualbus/backend/link.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace dualbus::backend {

/// Connections that serve one client at a time, for requests whose answer may take long: on a shared one
/// everybody else would wait behind it. Made when needed, up to a limit; kept for a while for the next one.
class dedicated_pool {
 public:
  /// Outlives the pool.
  explicit dedicated_pool(const link_environment& environment);

  /// A link for one request in a client's `database`, or null if `limit` are in use. Give it back with
  /// release().
  link* borrow(resp::protocol version, int database, std::size_t limit, base::time_point now);
  /// `reusable` if the link's request has been answered; otherwise its connection is closed, which is how
  /// Redis learns that nobody waits.
  void release(link& used, bool reusable, base::time_point now);

  void stop(base::time_point now);
  bool delivered() const;  ///< see bus
  /// No connection made before serves another request: the bus has another login.
  void renew(base::time_point now);
  void flush(base::time_point now);
  void tick(base::time_point now);
  void observe(metrics::bus_metrics& out) const;

 private:
  struct entry {
    std::unique_ptr<backend::link> link;
    bool busy = false, doomed = false;
    bool outdated = false;  // not to be used again
    base::time_point idle_since{};
  };

  link_environment environment_;
  pipeline_settings requests_;  // the bus's, without a limit on the time of an answer
  config::backend_settings settings_;
  const link_environment& shared_;
  std::vector<entry> entries_;
};

}  // namespace dualbus::backend
