#include "bus_links.hpp"

#include <algorithm>
#include <utility>

namespace dualbus::admin {
namespace {

// One reply can hold an entry, and entries can be as large as limits.max_request lets requests be.
constexpr redis_connection::options connection_options = {
    .name = "dualbusd-drain", .max_reply_bytes = std::size_t{600} << 20, .select_database = true};
// Pauses shorter than this are saved up.
constexpr std::chrono::milliseconds shortest_pause{5};

}  // namespace

bus_links::bus_links(std::vector<config::bus_settings> buses, const stop_signal& stop, settings timing)
    : buses_(std::move(buses)), stop_(stop), timing_(timing), connections_(buses_.size()) {}

bus_links::~bus_links() = default;

void bus_links::set_buses(std::vector<config::bus_settings> buses) {
  connections_.clear();  // they refer to the settings
  buses_ = std::move(buses);
  connections_.resize(buses_.size());
}

void bus_links::begin() {
  errors_.clear();
}

void bus_links::rest() {
  for (auto& connection : connections_) connection.reset();
}

redis_connection* bus_links::open(command::bus_index bus) {
  if (bus >= buses_.size() || errors_.contains(bus)) return nullptr;
  auto& connection = connections_[bus];
  if (!connection) connection = std::make_unique<redis_connection>(buses_[bus], stop_, connection_options);
  if (!connection->is_open() && !connection->open(base::clock::now() + timing_.connect_timeout)) {
    errors_[bus] = connection->error();
    return nullptr;
  }
  return connection.get();
}

bool bus_links::exchange(command::bus_index bus, const request_batch& requests, const reader& read) {
  redis_connection* connection = open(bus);
  if (connection == nullptr) return false;
  const base::time_point deadline = base::clock::now() + timing_.reply_timeout;
  if (connection->send(requests, deadline)) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto reply = connection->receive(deadline);
      if (!reply) break;
      std::string reason = read(i, *reply);
      if (!reason.empty()) {
        connection->fail(std::move(reason));
        break;
      }
    }
  }
  if (connection->is_open()) return true;
  errors_[bus] = connection->error();
  return false;
}

bool bus_links::pace(std::size_t commands) {
  const base::time_point now = base::clock::now();
  const auto price = std::chrono::duration_cast<base::duration>(std::chrono::duration<double>(
      static_cast<double>(commands) /
      static_cast<double>(std::max<std::size_t>(timing_.commands_per_second, 1))));
  paid_until_ = std::max(paid_until_, now) + price;
  if (paid_until_ - now < shortest_pause) return !stop_.raised();
  return stop_.wait(-1, 0, paid_until_) != stop_signal::wake::stopped;
}

}  // namespace dualbus::admin
