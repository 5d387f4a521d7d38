#pragma once

#include <dualbus/command/router.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/config/configuration.hpp>

#include <cstdint>
#include <memory>

namespace dualbus::operation {

/// The configuration that holds now, and the rules that follow from it. A reload swaps them as one, between
/// two requests.
class routing {
 public:
  /// `counters` counts the routed messages by type, and outlives it.
  routing(std::shared_ptr<const config::configuration> configuration, command::message_counters& counters);

  const config::configuration& configuration() const { return *now_->configuration; }
  /// The rules for requests in that database: in databases other than 0 every key has one bus.
  command::router& router(std::uint8_t database = 0) {
    return database == 0 ? now_->router : now_->other_router;
  }
  /// Another number after each reload.
  std::uint64_t number() const { return reloads_; }
  void reload(std::shared_ptr<const config::configuration> configuration);

 private:
  struct snapshot {
    snapshot(std::shared_ptr<const config::configuration> c, command::message_counters& counters);

    std::shared_ptr<const config::configuration> configuration;
    command::routing_table table;
    command::router router;
    command::routing_table other_table;  // for databases other than 0
    command::router other_router;
  };

  command::message_counters& counters_;
  std::unique_ptr<snapshot> now_;
  std::uint64_t reloads_ = 0;
};

}  // namespace dualbus::operation
