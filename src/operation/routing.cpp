#include <dualbus/operation/routing.hpp>

#include <utility>

namespace dualbus::operation {
namespace {

// If a setting makes waits differ from Redis's, the daemon waits itself, instead of the bus.
command::waiting_reads waiting_of(const config::configuration& c) {
  const bool passed = c.routing.server_commands == command::server_commands::passed;
  const bool own = c.missing_group.creates() || c.limits.max_block.count() > 0;
  return passed && !own ? command::waiting_reads::block : command::waiting_reads::park;
}

}  // namespace

routing::snapshot::snapshot(std::shared_ptr<const config::configuration> c,
                            command::message_counters& counters)
    : configuration(std::move(c)),
      table(configuration->routing),
      router(table, counters, waiting_of(*configuration)),
      other_table(command::with_every_key_pinned(configuration->routing)),
      other_router(other_table, counters, command::waiting_reads::block) {}

routing::routing(std::shared_ptr<const config::configuration> configuration,
                 command::message_counters& counters)
    : counters_(counters), now_(std::make_unique<snapshot>(std::move(configuration), counters)) {}

void routing::reload(std::shared_ptr<const config::configuration> configuration) {
  now_ = std::make_unique<snapshot>(std::move(configuration), counters_);
  ++reloads_;
}

}  // namespace dualbus::operation
