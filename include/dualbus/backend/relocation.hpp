#pragma once

#include <dualbus/backend/link.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace dualbus::backend {

/// The reason for a change of place.
enum class moving : std::uint8_t {
  planned,  ///< the configuration names another place: the old one serves until the new one is ready
  failover  ///< the old place is no master any more: no further request goes there
};

/// Moves all of a bus's shared links to another place at one moment, so that no client finds half of its
/// requests here and half of them there.
///
///   planned:  connect to a master there ──> hold all links ──> nothing is owed ──> change over
///                        ^                     └── not within longest_hold: go on, and try again
///   failover: hold all links at once, and connect ──> nothing is owed, or longest_wait is over ──> change
///   over
///
/// Requests that are held wait in their pipelines, and go to the new place. The old connections close, unless
/// a link has an heir, who goes on with what is owed there, or for other reasons. In a failover, requests
/// whose answer does not come in time end as bus_lost: they may have been carried out.
class relocation {
 public:
  /// Replies come within milliseconds; nobody shall wait behind one that takes long.
  static constexpr std::chrono::milliseconds longest_hold{100};
  static constexpr std::chrono::milliseconds between_holds{1000};
  /// For the answers that a master which has lost its office still gives.
  static constexpr std::chrono::milliseconds longest_wait{200};

  /// `with` outlives this; it describes the old place until the links have changed over.
  relocation(const link_environment& with, const config::bus_settings& to, moving why);
  ~relocation();
  relocation(const relocation&) = delete;
  relocation& operator=(const relocation&) = delete;

  const config::bus_settings& place() const { return to_; }
  moving why() const { return why_; }
  /// Other settings for the same place.
  void update(const config::bus_settings& to) { to_ = to; }

  /// Does what can be done now for `links`, of which none may end meanwhile, and others may begin; true once
  /// they are to change over.
  /// Call it before each flush of the links, and in ticks.
  bool ready(const std::vector<link*>& links, base::time_point now);
  /// Call it once, after ready() with the same links, when `with` describes the new place.
  void change_over(const std::vector<link*>& links, base::time_point now);
  void tick(base::time_point now);

 private:
  struct move {
    link* of;
    std::unique_ptr<link> fresh;
  };
  link* fresh_for(const link& of) const;
  bool may_leave(const link& l) const;
  void hold(const std::vector<link*>& links, bool on, base::time_point now);

  config::bus_settings to_;
  const moving why_;
  metrics::bus_metrics unseen_;
  link_environment environment_;
  std::vector<move> moves_;
  std::vector<link*> held_;
  bool holding_ = false;
  base::time_point hold_until_{}, next_hold_{};
};

}  // namespace dualbus::backend
