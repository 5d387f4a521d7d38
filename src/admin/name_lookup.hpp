#pragma once

#include "stop_signal.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace dualbus::admin {

/// Turns a host name into addresses without being held up by a name server that does not answer: getaddrinfo
/// cannot be interrupted, so it runs on a thread of its own, which is left to itself when nobody waits any
/// more.
class name_lookup {
 public:
  struct address {
    sockaddr_storage storage;
    socklen_t length;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  };

  name_lookup(std::string host, std::uint16_t port);
  ~name_lookup();

  /// The addresses in the order to try them. If empty, error() says why, or the deadline passed or `stop` was
  /// raised while the look-up went on; the next call then waits for the same look-up.
  std::vector<address> resolve(const stop_signal& stop, base::time_point deadline);
  const std::string& error() const { return error_; }

 private:
  struct pending;

  std::string host_;
  std::uint16_t port_;
  std::string error_;
  std::shared_ptr<pending> pending_;
};

}  // namespace dualbus::admin
