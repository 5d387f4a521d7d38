#pragma once

#include <dualbus/base/clock.hpp>

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace dualbus::client {

/// Makes guessing passwords slow. Failed log-ins are counted by address; after a few of them every log-in
/// from there, right or wrong, waits before it is looked at. If only wrong ones waited, a guesser would not
/// wait for the answer. This class keeps no clock and knows no sockets.
class login_delays {
 public:
  static constexpr int free_failures = 5;
  static constexpr base::duration first_delay = std::chrono::milliseconds(50);  ///< doubles with each failure
  static constexpr base::duration memory =
      std::chrono::minutes(1);                         ///< failures count until none came for so long
  static constexpr std::size_t most_addresses = 4096;  ///< beyond it, the oldest failure is forgotten

  void note_failure(std::string_view peer, base::time_point now);
  /// The time that a log-in from there has to wait; at most `longest`.
  base::duration delay(std::string_view peer, base::time_point now, base::duration longest) const;

  std::size_t addresses() const { return by_age_.size(); }
  /// The part of "127.0.0.1:4711" or "[2001:db8::1]:4711" that counts as one peer: an IPv4 address, or the
  /// /64 network of an IPv6 address, which one host has for itself. All clients of a Unix socket are one
  /// peer.
  static std::string network_of(std::string_view peer);

 private:
  struct record {
    std::string network;
    int failures;
    base::time_point last;
  };

  std::list<record> by_age_;  // the last failure last
  std::unordered_map<std::string, std::list<record>::iterator> by_network_;
};

}  // namespace dualbus::client
