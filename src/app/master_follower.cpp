#include "master_follower.hpp"

#include <utility>

namespace dualbus::app {

master_follower::master_follower(hooks told) : told_(std::move(told)) {}

void master_follower::start(const configuration_pointer& configuration) {
  watch_ = std::make_unique<admin::sentinel_watch>(
      *configuration, [this, configuration](std::size_t bus, const config::server_address& master) {
        on_found(bus, configuration->routing.buses[bus].name, master);
      });
  watch_->start();
  watch_->await_first(2 * configuration->backend.connect_timeout);
}

void master_follower::follow() {
  const std::lock_guard lock(mutex_);
  following_ = true;
  if (!masters_.empty()) told_.changed();
}

void master_follower::stop() {
  if (watch_) watch_->stop();
}

void master_follower::on_found(std::size_t bus, const std::string& name,
                               const config::server_address& master) {
  const std::lock_guard lock(mutex_);
  masters_[name] = master;
  told_.move(bus, master);
  if (following_) told_.changed();
}

master_follower::configuration_pointer master_follower::fill(const configuration_pointer& loaded) const {
  const std::lock_guard lock(mutex_);
  return filled(loaded);
}

master_follower::configuration_pointer master_follower::pass_on(
    const configuration_pointer& loaded, const std::function<void(const configuration_pointer&)>& post) {
  watch_->set_logins(loaded->buses);
  const std::lock_guard lock(mutex_);
  const configuration_pointer complete = filled(loaded);
  post(complete);
  return complete;
}

master_follower::configuration_pointer master_follower::filled(const configuration_pointer& loaded) const {
  if (masters_.empty()) return loaded;
  const auto copy = std::make_shared<config::configuration>(*loaded);
  for (std::size_t i = 0; i < copy->buses.size(); ++i) {
    const auto master = masters_.find(copy->routing.buses[i].name);
    if (copy->buses[i].has_sentinels() && master != masters_.end())
      copy->buses[i].set_address(master->second);
  }
  return copy;
}

}  // namespace dualbus::app
