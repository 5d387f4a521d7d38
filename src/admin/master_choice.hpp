#pragma once

#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::admin {

/// The answer of one Sentinel: the master, and how new the Sentinel's knowledge is.
struct sentinel_answer {
  config::server_address master;
  std::uint64_t epoch = 0;  ///< the master's config-epoch, which grows with each failover
  bool configured = false;  ///< the Sentinel stands in the configuration
};

/// Chooses among the masters that Sentinels name, who may contradict one another: one that was cut off, or
/// stopped for a while, still names the master of that time, and during a failover only the Sentinel that
/// leads it names the new one. It sees no socket and no clock; its owner asks the servers for their role.
///
///   answers ──> order(): the servers worth asking, best first ──> the first that says "master" ──> adopt()
///
/// An answer is out of date if its epoch is lower than that of the present master, or if it names a master
/// that was left in that epoch. It counts only when most configured Sentinels agree on it: somebody has made
/// them forget (SENTINEL RESET), and their epochs begin anew.
class master_choice {
 public:
  /// The number of Sentinels in the configuration.
  explicit master_choice(std::size_t configured) : configured_(configured) {}

  struct candidate {
    config::server_address address;
    std::uint64_t epoch = 0;
  };
  /// Nothing behind the present master, which need not be asked: nobody knows better.
  std::vector<candidate> order(const std::vector<sentinel_answer>& answers) const;
  /// True if the answer alone is a reason to go to the server that it names, if that is a master.
  bool is_news(const sentinel_answer& answer) const {
    return !is_present(answer.master) && !outdated(answer.master, answer.epoch);
  }
  bool is_present(const config::server_address& address) const {
    return present_ && present_->address == address;
  }
  /// True if the answer names the present master and nothing speaks against it.
  bool confirms(const sentinel_answer& answer) const {
    return is_present(answer.master) && !outdated(answer.master, answer.epoch);
  }

  /// Takes a server that says it is a master.
  void adopt(const candidate& chosen);
  const std::optional<candidate>& present() const { return present_; }

 private:
  bool outdated(const config::server_address& address, std::uint64_t epoch) const;

  std::size_t configured_;
  std::optional<candidate> present_;
  std::map<std::string, std::uint64_t> left_;  // masters of before, and the epoch in which each was left
};

}  // namespace dualbus::admin
