#include <dualbus/backend/bus_health.hpp>

namespace dualbus::backend {

void bus_health::probe_sent(base::time_point now) {
  probing_ = true;
  doubted_ = false;
  next_probe_ = now + probe_interval;
}

// Other errors (the probe is not permitted, the slot is elsewhere) say nothing about the bus.
bool bus_health::on_probe(std::string_view reply) {
  probing_ = false;
  error_ = find_bus_error(reply);
  if (error_ != nullptr && error_->state == metrics::bus_state::up) error_ = nullptr;
  const auto before = state_;
  state_ = error_ == nullptr ? metrics::bus_state::up : error_->state;
  return state_ != before;
}

void bus_health::forget() {
  error_ = nullptr;
  state_ = metrics::bus_state::up;
  doubted_ = probing_ = false;
}

}  // namespace dualbus::backend
