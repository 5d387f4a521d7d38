#pragma once

#include <dualbus/admin/sentinel_watch.hpp>
#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace dualbus::app {

/// Where the masters are of the buses that have Sentinels, for every part of the daemon:
///
///   admin::sentinel_watch ──> move(bus, address): each worker's bus goes there, at once
///                       └───> changed(): the other parts get a configuration with the addresses in it, soon
///
/// A configuration that was loaded lacks them; fill() adds what is known.
class master_follower {
 public:
  using configuration_pointer = std::shared_ptr<const config::configuration>;
  struct hooks {
    /// Has the workers follow; posts only. On a thread of the watch.
    std::function<void(std::size_t bus, const config::server_address& master)> move;
    /// Has fill() called again, on whatever thread owns the configuration. The same.
    std::function<void()> changed;
  };
  explicit master_follower(hooks told);

  /// Looks for the masters, and waits until each has been found or looked for in vain, for about twice
  /// backend.connect_timeout at most. Until follow() only `move` is called.
  void start(const configuration_pointer& configuration);
  void follow();
  void stop();

  /// The same configuration, or a copy with the addresses of the masters.
  configuration_pointer fill(const configuration_pointer& loaded) const;
  /// Fills it, takes its logins, and has it passed on by `post`. What `move` was called for before is in it,
  /// and what it is called for later is posted later: no bus goes back to the master before.
  configuration_pointer pass_on(const configuration_pointer& loaded,
                                const std::function<void(const configuration_pointer&)>& post);

  /// The bus has no master. From any thread.
  void look(std::size_t bus) const { watch_->look(bus); }
  std::vector<admin::sentinel_status> status() const { return watch_->status(); }

 private:
  void on_found(std::size_t bus, const std::string& name, const config::server_address& master);
  configuration_pointer filled(const configuration_pointer& loaded) const;

  const hooks told_;
  mutable std::mutex mutex_;                               // guards the two below, and the order of posts
  std::map<std::string, config::server_address> masters_;  // by name of the bus
  bool following_ = false;
  std::unique_ptr<admin::sentinel_watch> watch_;
};

}  // namespace dualbus::app
