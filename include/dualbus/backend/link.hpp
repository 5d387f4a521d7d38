#pragma once

#include <dualbus/backend/connection.hpp>

#include <string>

#include <boost/asio/io_context.hpp>

namespace dualbus::backend {

/// All that the connections of one worker to one bus have in common. All of it outlives the links; `settings`
/// changes with reloads. `target` is where connections go from now on: only the bus changes its place, see
/// bus::set_place().
struct link_environment {
  boost::asio::io_context& io;
  base::poller& poller;
  base::chunk_pool& pool;
  const config::backend_settings& settings;
  config::bus_settings& target;
  const pipeline_settings& requests;
  const std::string name;
  metrics::bus_metrics& metrics;
  log_of logged = log_of::everything;
};

struct link;

/// Whoever goes on with the connection that a link leaves in a planned move.
class link_heir {
 public:
  /// True if the heir sees to all that is owed on it. A connection on which nothing is owed needs nobody.
  virtual bool takes_debts() const { return false; }
  /// Takes the connection, and what is owed on it, right before the link goes on over another one.
  virtual void take_connection(link& of, base::time_point now) = 0;

 protected:
  ~link_heir() = default;
};

/// A pipeline and the connection that serves it.
struct link {
  link(const link_environment& with, resp::protocol speaks, int in_database = 0,
       pipeline_observer* observer = nullptr)
      : version(speaks),
        database(in_database),
        requests(with.pool, with.requests, with.metrics, observer),
        socket(with.io, with.poller, with.settings, with.target, with.name, speaks, in_database, requests,
               with.metrics, with.logged) {}

  const resp::protocol version;
  const int database;  ///< as clients count: 0 is the bus's
  pipeline requests;
  connection socket;
  base::time_point next_write{};  ///< no sooner, if bus_settings::coalesce says so
  link_heir* heir = nullptr;
};

}  // namespace dualbus::backend
