#include <dualbus/metrics/worker_metrics.hpp>

namespace dualbus::metrics {
namespace {

constexpr std::string_view outcome_names[] = {"ok",       "redis_error", "refused",    "bus_down",
                                              "bus_lost", "bus_timeout", "unconfirmed"};
constexpr std::string_view close_reason_names[] = {"client", "protocol_error", "output_limit",
                                                   "idle",   "killed",         "shutdown",
                                                   "memory", "login_timeout",  "displaced"};
constexpr std::string_view connection_state_names[] = {"disconnected", "connecting", "handshake", "up"};
constexpr std::string_view absorption_names[] = {"empty", "no_group"};

}  // namespace

std::string_view outcome_name(outcome o) {
  return outcome_names[static_cast<std::size_t>(o)];
}

std::string_view close_reason_name(close_reason r) {
  return close_reason_names[static_cast<std::size_t>(r)];
}

std::string_view connection_state_name(connection_state s) {
  return connection_state_names[static_cast<std::size_t>(s)];
}

std::string_view absorption_name(absorption a) {
  return absorption_names[static_cast<std::size_t>(a)];
}

std::uint64_t worker_metrics::requests() const {
  std::uint64_t sum = unknown_commands;
  for (const auto& outcomes : commands) {
    for (const std::uint64_t count : outcomes) sum += count;
  }
  return sum;
}

}  // namespace dualbus::metrics
