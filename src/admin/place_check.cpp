#include "redis_connection.hpp"
#include "sentinel_replies.hpp"
#include "stop_signal.hpp"
#include "stream_replies.hpp"

#include <dualbus/admin/place_check.hpp>
#include <dualbus/base/log.hpp>

#include <algorithm>

namespace dualbus::admin {
namespace {

constexpr redis_connection::options connection_options = {
    .name = "dualbusd-check", .max_reply_bytes = 64 << 10, .select_database = true};

// The reason why the place cannot be used now; empty if it can.
std::string fault_of(const config::bus_settings& bus, const stop_signal& stop, base::time_point deadline) {
  redis_connection connection(bus, stop, connection_options);
  if (!connection.open(deadline)) return connection.error();
  const auto reply = connection.ask({"HELLO", "2"}, deadline);
  if (!reply) return connection.error();
  if (const std::string_view error = error_in(*reply); !error.empty()) return "HELLO: " + std::string(error);
  const std::string role = read_role(*reply);
  if (role == "master") return {};
  return role.empty() ? "its answer to HELLO names no role" : "it is a " + role + ", no master";
}

}  // namespace

place_check::place_check() : stop_(std::make_unique<stop_signal>()) {}

place_check::~place_check() = default;

void place_check::stop() {
  stop_->raise();
}

place_check::findings place_check::run(const config::configuration& running,
                                       const config::configuration& loaded) const {
  findings found;
  const auto& before = running.routing.buses;
  for (std::size_t i = 0; i < loaded.buses.size(); ++i) {
    const std::string& name = loaded.routing.buses[i].name;
    const config::bus_settings& wanted = loaded.buses[i];
    const auto known =
        std::find_if(before.begin(), before.end(), [&](const auto& bus) { return bus.name == name; });
    const config::bus_settings* const now =
        known == before.end() ? nullptr : &running.buses[static_cast<std::size_t>(known - before.begin())];
    const bool moves = now == nullptr || !config::same_place(*now, wanted);
    const bool logs_in_anew =
        !moves && (now->username != wanted.username || now->password != wanted.password);
    found.moves |= moves;
    if (!moves && !logs_in_anew) continue;
    const auto deadline = base::clock::now() + loaded.backend.connect_timeout;
    const std::string fault = fault_of(wanted, *stop_, deadline);
    if (fault.empty()) continue;
    if (moves) {
      found.mistakes.push_back("buses." + name + ": " + wanted.endpoint +
                               " cannot be used: " + base::in_log(fault, 200));
    } else {
      found.warnings.push_back("buses." + name + ": " + wanted.endpoint +
                               " does not take the new login yet: " + base::in_log(fault, 200) +
                               "; the connections that exist go on, and are exchanged when it does");
    }
  }
  return found;
}

}  // namespace dualbus::admin
