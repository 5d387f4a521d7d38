#pragma once

#include "name_lookup.hpp"
#include "stop_signal.hpp"

#include <dualbus/base/unique_fd.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace dualbus::admin {

/// Requests that are sent together.
class request_batch {
 public:
  void add(std::initializer_list<std::string_view> words);
  std::size_t size() const { return size_; }
  std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::size_t size_ = 0;
};

/// A connection of the admin layer to one bus's Redis, in RESP2, for a thread that may wait. hiredis writes
/// the requests. The waiting is done here: every wait must end at its deadline, however slowly a peer sends,
/// and at once when the daemon stops. Replies are passed on as bytes, so that nothing is reserved for a
/// length that a header merely claims.
///
/// Every failure closes the connection: a late reply would be taken for the next one. error() says why.
class redis_connection {
 public:
  struct options {
    std::string_view name;            ///< for the reader of CLIENT LIST
    std::size_t max_reply_bytes = 0;  ///< a peer that sends a longer reply sends garbage
    bool select_database = false;     ///< the one of the bus; not needed for INFO
  };
  /// The first bytes of replies that hold one string, status, number or error and nothing nested.
  static constexpr std::string_view scalars = "+-:$";

  /// `bus` and `stop` outlive the connection.
  redis_connection(const config::bus_settings& bus, const stop_signal& stop, options wanted);
  ~redis_connection();
  redis_connection(const redis_connection&) = delete;
  redis_connection& operator=(const redis_connection&) = delete;

  bool is_open() const { return static_cast<bool>(fd_); }
  /// Connects, authenticates and names the connection.
  bool open(base::time_point deadline);
  void close();

  bool send(const request_batch& requests, base::time_point deadline);
  /// The next reply as bytes, valid until the next call. A reply that does not begin with one of `types` is
  /// an error here; if `types` is empty, any reply is taken.
  std::optional<std::string_view> receive(base::time_point deadline, std::string_view types = {});
  /// Sends one request and receives its reply.
  std::optional<std::string_view> ask(std::initializer_list<std::string_view> words,
                                      base::time_point deadline, std::string_view types = {});

  /// For a connection on which the server speaks unasked: the descriptor to wait for.
  int descriptor() const { return fd_.get(); }
  /// Takes what has arrived there, and forgets it. False if the server has closed the connection.
  bool drop_received();

  const std::string& error() const { return error_; }
  /// True if the last failure was that the peer did not answer in time.
  bool timed_out() const { return timed_out_; }
  /// Closes the connection and keeps `reason` as the error.
  void fail(std::string reason);

 private:
  bool connect(base::time_point deadline);
  bool finish_connect(base::unique_fd fd, base::time_point deadline);
  bool log_in(base::time_point deadline);
  bool wait(short events, base::time_point deadline);

  const config::bus_settings& bus_;
  const stop_signal& stop_;
  const options options_;
  name_lookup lookup_;
  base::unique_fd fd_;
  std::string received_;         // begins with the next reply, once `passed_on_` bytes are dropped
  std::size_t passed_on_ = 0;    // size of the last reply
  std::size_t outstanding_ = 0;  // requests without a reply
  std::string error_;
  bool timed_out_ = false;
};

}  // namespace dualbus::admin
