#pragma once

#include <dualbus/backend/handshake.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/poller.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/resp/encoder.hpp>

#include <functional>
#include <memory>
#include <random>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace dualbus::backend {

/// The events of a connection that the log tells: for one that comes and goes, only failures are news.
enum class log_of : std::uint8_t { everything, failures, nothing };

/// Keeps one connection to a backend up, and moves a pipeline's bytes over it.
///
///   disconnected ──start/tick──> connecting ──> handshake (HELLO, SELECT) ──> up
///        ^────── error, close, silence, garbage: retry with backoff and jitter ─┘
///
/// Lives on one worker's thread. flush() writes what the pipeline holds; the worker calls it once per turn.
/// Bytes that the peer has not got when the connection is given up never reach it: see
/// base::reset_when_closed().
class connection final : public base::io_handler {
 public:
  /// All outlive the connection. `settings` and `target` may change between calls, as reloads do. `database`
  /// counts from the target's. `logged`: see link_environment.
  connection(boost::asio::io_context& io, base::poller& poller, const config::backend_settings& settings,
             const config::bus_settings& target, std::string bus_name, resp::protocol version, int database,
             pipeline& requests, metrics::bus_metrics& metrics, log_of logged = log_of::everything);
  ~connection() override;

  /// Begins to connect; from then on it reconnects by itself, as long as tick() is called.
  void start(base::time_point now);
  /// Closes for good; requests in flight end as bus_lost.
  void stop(base::time_point now);
  /// Gives the present connection up, because of `why`, and connects again.
  void drop(const std::string& why, base::time_point now) {
    if (fd_) fail(why, now);
  }
  /// Connects anew at once, with the present settings, and logs nothing; requests in flight are lost.
  void reconnect(base::time_point now);

  // For an exchange of connections: see renewal.
  /// While `on` no request is begun; one that is written in part is completed.
  void hold(bool on) { held_ = on; }
  bool holds() const { return held_; }
  /// Up, and no reply is owed and no request written in part.
  bool between_requests() const {
    return state_ == phase::up && requests_.in_flight() == 0 && requests_.unfinished_bytes() == 0;
  }
  /// Goes on over the connection of `fresh`, which is up, and which ends with this; what is owed on it is
  /// left to pipeline::pass_on(). Only while between_requests(), or before start().
  void take_over(connection& fresh, base::time_point now);

  void flush(base::time_point now);
  /// `marks`: sends an order_marker once per health_interval, which also tests a connection that has nothing
  /// to answer. Without `marks` the owner does both.
  void tick(base::time_point now, bool marks = true);

  /// Gives the connection up if the peer lacks bytes of a request whose time is over; true if it did. tick()
  /// does so, and the caller of pipeline::give_up() must do so at once.
  bool end_undelivered(base::time_point now);

  metrics::connection_state state() const { return state_; }
  /// True if the peer has got everything that there is, or cannot get it.
  bool delivered() const;
  /// The backend's answer in the last handshake that succeeded.
  const server_identity& identity() const { return handshake_.greeting().identity; }
  /// The answer to CLIENT ID on the present connection; 0 while there is none.
  std::int64_t client_id() const { return state_ == phase::up ? handshake_.greeting().client_id : 0; }
  /// The role that HELLO named on the last connection: "master", "replica"; empty until a handshake
  /// succeeded.
  const std::string& role() const { return handshake_.greeting().role; }
  /// The address of the last attempt; unspecified for a Unix socket.
  const boost::asio::ip::address& peer() const { return peer_; }
  /// The time at which bytes were last received.
  base::time_point last_received() const { return last_received_; }

  void on_readable() override;
  void on_writable() override;
  void on_hangup(bool both_directions) override;

 private:
  using phase = metrics::connection_state;

  void attempt(base::time_point now);
  void resolve();
  void begin(const boost::asio::ip::tcp::endpoint& endpoint, base::time_point now);
  void begin(base::unique_fd fd, base::time_point now);
  void connected(base::time_point now);
  void read_handshake(base::time_point now);
  void up(base::time_point now);
  void fail(const std::string& why, base::time_point now);
  void close();
  void update_interest();
  std::size_t writable_bytes() const {
    return held_ ? requests_.unfinished_bytes() : requests_.released_bytes();
  }
  /// The fault of the connection; empty if there is none.
  std::string unhealthy(base::time_point now) const;
  std::chrono::milliseconds patience() const;

  boost::asio::ip::tcp::resolver resolver_;
  base::poller& poller_;
  const config::backend_settings& settings_;
  const config::bus_settings& target_;
  const std::string bus_name_;
  const resp::protocol version_;
  const int database_;
  pipeline& requests_;
  metrics::bus_metrics& metrics_;
  const log_of logged_;

  phase state_ = phase::disconnected;
  bool stopped_ = true, write_armed_ = false, read_armed_ = false, held_ = false;
  base::unique_fd fd_;
  boost::asio::ip::address peer_;
  handshake handshake_;
  std::string unwritten_;  // of the handshake
  int failures_ = 0;       // since the last connection that lasted
  base::time_point next_attempt_{}, deadline_{}, next_mark_{}, last_received_{}, up_since_{};
  std::minstd_rand random_;
  std::string last_error_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for the resolver's late answers
};

}  // namespace dualbus::backend
