#pragma once

#include <dualbus/backend/server_identity.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/config/configuration.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace dualbus::backend {

/// A server, as its answer to HELLO describes it.
struct server_greeting {
  server_identity identity;
  std::string role;            ///< "master" or "replica"; empty until a handshake succeeded
  std::int64_t client_id = 0;  ///< of this connection, as CLIENT ID says it
};

/// The first words on a connection: HELLO with the login and a name, and SELECT. It sees no socket.
class handshake {
 public:
  /// The bytes to be written. No SELECT for `database` 0.
  std::string start(resp::protocol version, const config::bus_settings& target, int database);
  /// Takes the replies off `input`. Returns why the connection is of no use; empty if it may be of use.
  std::string read(base::read_buffer& input);
  /// True if every reply is there.
  bool done() const { return replies_ == 0; }
  const server_greeting& greeting() const { return greeting_; }

 private:
  std::string accept(std::string_view reply, char type);

  resp::reply_scanner scanner_;
  server_greeting greeting_;
  int replies_ = 0;
};

}  // namespace dualbus::backend
