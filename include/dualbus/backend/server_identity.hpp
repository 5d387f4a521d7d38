#pragma once

#include <string>

namespace dualbus::backend {

/// The server behind a connection, as its answer to HELLO names it: "redis" and "7.0.15", "valkey" and
/// "9.1.2". A Valkey with `extended-redis-compatibility` says "redis" and "7.2.4". Both empty until a
/// handshake has succeeded.
struct server_identity {
  std::string name;
  std::string version;

  bool known() const { return !version.empty(); }
  /// The name as people write it: "Valkey".
  std::string title() const;
  /// The version of Redis whose commands it has: INFO's redis_version, which Valkey keeps at 7.2.4 (valkey:
  /// src/version.h). Empty for other servers that are not Redis.
  std::string redis_version() const;
  /// True if it is known that it behaves as a Redis older than `major`.`minor`.
  bool is_redis_before(int major, int minor) const;
};

}  // namespace dualbus::backend
