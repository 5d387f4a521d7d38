#pragma once

#include <dualbus/config/configuration.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::admin {

// Readers of complete RESP2 replies of a Sentinel, and of a server that one has named. They take any reply:
// whoever answers at that address may be anything.

/// The answer to SENTINEL GET-MASTER-ADDR-BY-NAME.
struct master_reply {
  std::optional<config::server_address> address;
  std::string fault;  ///< why there is none, to follow the name of the Sentinel
};
master_reply read_master_address(std::string_view reply);

/// The config-epoch in SENTINEL MASTER: the larger it is, the newer is what the Sentinel knows. 0 if it is
/// not there.
std::uint64_t read_config_epoch(std::string_view reply);

/// The addresses in SENTINEL SENTINELS, without those that are none.
std::vector<config::server_address> read_sentinels(std::string_view reply);

/// The role in the answer to HELLO: "master", "replica"; empty if it names none, as a Sentinel's own.
std::string read_role(std::string_view reply);

}  // namespace dualbus::admin
