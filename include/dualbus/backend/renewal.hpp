#pragma once

#include <dualbus/backend/link.hpp>

namespace dualbus::backend {

/// Exchanges a link's connection for a new one, because its bus has another login, or is another server by
/// now. The new one is made beside the old one, which goes on until Redis has accepted the new one; so a
/// wrong password ends none. Then requests are held for the moment in which the old connection gets the
/// replies that it is owed, and go on over the new one.
class renewal {
 public:
  /// Both outlive this.
  renewal(const link_environment& environment, link& of, base::time_point now);
  ~renewal();
  renewal(const renewal&) = delete;
  renewal& operator=(const renewal&) = delete;

  /// Does what can be done now; true if it is over. Call it before each flush of the link, and in ticks.
  bool run(base::time_point now);
  void tick(base::time_point now);

 private:
  metrics::bus_metrics unseen_;
  link_environment environment_;
  link& of_;
  link fresh_;
  bool holding_ = false;
  base::time_point hold_until_{}, next_hold_{};
};

}  // namespace dualbus::backend
