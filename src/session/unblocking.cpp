#include "unblocking.hpp"

#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/worker_context.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::session {
namespace {

// 1, 2, 4, … ms: together some 8 s, which is longer than a connection takes that can be made at all.
constexpr int most_attempts = 13;

}  // namespace

void unblocking::start(worker_context& context, command::bus_index bus, const backend::link& waiting,
                       bool with_error, unblocking*& place) {
  place = new unblocking(context, bus, waiting, with_error, place);
}

unblocking::unblocking(worker_context& context, command::bus_index bus, const backend::link& waiting,
                       bool with_error, unblocking*& place)
    : context_(context), bus_(bus), waiting_(&waiting), place_(&place), with_error_(with_error) {
  // Not at once: what is appended during EXEC would become part of a transaction.
  send_at(context.now);
}

void unblocking::forget() {
  *std::exchange(place_, nullptr) = nullptr;
  waiting_ = nullptr;
  if (!timer_) return;  // it ends with the answer
  context_.timers.cancel(*timer_);
  delete this;
}

void unblocking::send_at(base::time_point when) {
  timer_ = context_.timers.add(when, [this] { send(); });
}

void unblocking::send() {
  timer_.reset();
  const std::int64_t id = waiting_->socket.client_id();
  backend::pipeline& bus = context_.bus(bus_).requests(resp::protocol::resp2, 0, context_.now);
  if (id == 0 || !bus.accepts()) return answered(true);
  const std::string number = std::to_string(id);
  const std::string_view words[] = {"CLIENT", "UNBLOCK", number, with_error_ ? "ERROR" : "TIMEOUT"};
  resp::encoder(bus.begin()).request(words);
  bus.end(*this, 0, context_.now);
}

void unblocking::answered(bool again) {
  if (place_ != nullptr && again && ++attempts_ < most_attempts) {
    return send_at(context_.now + std::chrono::milliseconds(1 << (attempts_ - 1)));
  }
  if (place_ != nullptr) *place_ = nullptr;
  delete this;
}

}  // namespace dualbus::session
