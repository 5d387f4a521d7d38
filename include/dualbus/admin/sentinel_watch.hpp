#pragma once

#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::admin {

/// Everything that is known of the Sentinels of one bus.
struct sentinel_status {
  std::size_t bus = 0;
  bool up = false;        ///< a Sentinel answered the last question and named a master
  std::string sentinel;   ///< the one that is asked first
  std::size_t known = 0;  ///< Sentinels
  std::string error;      ///< why it is not up
  std::optional<config::server_address> master;
  std::uint64_t failovers = 0;        ///< changes of the master since the daemon has found the first one
  std::uint64_t failures = 0;         ///< answers of Sentinels that were of no use, or missing
  std::uint64_t refused_masters = 0;  ///< servers named as the master that do not say so themselves
};

/// Finds the masters of the buses that have Sentinels, and follows them. Each such bus has a thread of its
/// own, so that one whose Sentinels hang delays no other.
///
///   start, every 2 s, look(), an announcement ──> ask the Sentinel that answered last
///       same master ──> nothing                     │
///       another one ──> HELLO says "master"? ──> found()
///       no answer, not a master, older knowledge, or every 10 s ──> ask all Sentinels at once, choose
///
/// A Sentinel may be wrong about everything: no server is passed to found() that does not say itself that it
/// is a master. Nothing here waits longer than backend.connect_timeout for each peer.
class sentinel_watch {
 public:
  /// The bus by its index, and the address of its master. On threads of the watch.
  using found_function = std::function<void(std::size_t bus, const config::server_address& master)>;

  /// Throws std::system_error if there is no descriptor left.
  sentinel_watch(const config::configuration& configuration, found_function found);
  ~sentinel_watch();  ///< stops
  sentinel_watch(const sentinel_watch&) = delete;
  sentinel_watch& operator=(const sentinel_watch&) = delete;

  void start();  ///< once
  void stop();   ///< within milliseconds; any number of times
  /// Waits until every bus with Sentinels has a master, or has looked for one once in vain; not longer than
  /// `longest`.
  void await_first(std::chrono::milliseconds longest) const;

  /// The bus has lost its server, or that is no master any more. Cheap; from any thread. No effect on a bus
  /// without Sentinels.
  void look(std::size_t bus);
  /// User and password of the servers, from the next question on. From any thread.
  void set_logins(const std::vector<config::bus_settings>& buses);

  /// Of the buses that have Sentinels. From any thread.
  std::vector<sentinel_status> status() const;

 private:
  class bus_watch;
  const found_function found_;
  std::vector<std::unique_ptr<bus_watch>> buses_;  // by bus; null without Sentinels
};

}  // namespace dualbus::admin
