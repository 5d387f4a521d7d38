#pragma once

#include <dualbus/backend/former_place.hpp>
#include <dualbus/backend/link.hpp>
#include <dualbus/base/log.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace dualbus::backend {

/// The purpose of borrowing a link. Each purpose has a limit of its own, so that those who wait for ever, or
/// watch keys for as long as their clients like, leave links for those who need one for a moment.
enum class purpose : std::uint8_t { wait, watch, moment };

/// Connections that serve one client at a time, for requests whose answer may take long: on a shared
/// connection everybody else would wait behind them. They are made when needed, up to a limit, and kept for a
/// while for the next client.
///
///   borrow() ──> in use ──release()──────────────────────────> free ──borrow()──> …
///                       ──release_after()──> undoing ──+OK──────^
///                       ──release(false), an error, silence──> closed
class dedicated_pool {
 public:
  /// Outlives the pool.
  explicit dedicated_pool(const link_environment& environment);
  ~dedicated_pool();

  /// A link for one request in a client's `database`, or null if `limit` are in use for that purpose, without
  /// those to a place that the bus has left. Give it
  /// back with one of the two functions below.
  link* borrow(purpose what_for, resp::protocol version, int database, std::size_t limit,
               base::time_point now);
  /// `reusable` if the link's request has been answered and has left nothing behind; otherwise its connection
  /// is closed, which is how Redis learns that nobody waits.
  void release(link& used, bool reusable, base::time_point now);
  /// For a link whose requests have left something behind (watched keys, a queue of MULTI, another database):
  /// `requests`, encoded, undo that. It is free when the bus has answered all `count` of them with OK; after
  /// anything else it is closed.
  void release_after(link& used, std::string_view requests, std::uint32_t count, base::time_point now);

  void stop(base::time_point now);
  bool delivered() const;  ///< see bus
  /// No connection made before serves another request: the bus has another login, or is another server. With
  /// `at_once` requests that wait on one end, as if the connection were lost.
  void renew(base::time_point now, bool at_once = false);
  /// The bus leaves its place in a planned move; `present` is its shared connection. Clients who are served
  /// on links to that place stay there: nobody but its server knows whether it has given them something
  /// already. Null if there are none. Call renew() when the environment describes the new place.
  former_place* leave(const connection& present);
  /// The place to which that link still leads, though the bus has left it; null if it leads to the bus.
  former_place* former_place_of(const link& used);
  void drop_unannounced();
  void flush(base::time_point now) {
    if (!entries_.empty() || !former_.empty()) flush_all(now);
  }
  void tick(base::time_point now);
  void observe(metrics::bus_metrics& out) const;

 private:
  struct entry;

  void flush_all(base::time_point now);
  entry& entry_of(const link& used);
  std::size_t count(purpose what_for, bool undoing) const;

  link_environment environment_;
  pipeline_settings requests_;  // the bus's, without a limit on the time of an answer
  config::backend_settings settings_;
  const link_environment& shared_;
  std::vector<std::unique_ptr<former_place>> former_;  // as long as links lead there
  std::vector<std::unique_ptr<entry>> entries_;
};

}  // namespace dualbus::backend
