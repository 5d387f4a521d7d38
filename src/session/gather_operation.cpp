#include <dualbus/session/gather_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::session {

gather_operation::gather_operation(worker_context& context, session& owner, std::uint16_t command,
                                   bool rounds)
    : operation(context, owner, command), version_(owner.protocol()), rounds_(rounds) {}

void gather_operation::start() {
  owner_->enqueue(*this);
  if (rounds_) owner_->hold();
  run([this] { on_start(); });
}

// A part can fail as soon as it is sent. Therefore the step counts as one more outstanding thing: a round is
// over only when the step that sends it has returned, and only here is the operation destroyed.
template <typename Step>
void gather_operation::run(Step&& step) {
  running_ = true;
  outstanding_ = 1;
  step();
  running_ = false;
  if (ended_) return conclude();
  if (--outstanding_ == 0 && !timer_) run_round();
}

void gather_operation::run_round() {
  run([this, parts = std::exchange(parts_, {})] { on_round(parts); });
}

void gather_operation::send(command::bus_index bus, resp::arguments args) {
  const auto index = static_cast<std::uint32_t>(parts_.size());
  parts_.push_back({bus, {}, {}});
  backend::bus& target = context_.bus(bus);
  backend::pipeline& requests = target.requests(version_, context_.now);
  if (!requests.accepts()) {
    parts_.back().failed = backend::failure::bus_down;
    return;
  }
  ++outstanding_;
  resp::encoder(requests.begin()).request(args);
  requests.end(*this, index, context_.now);
  if (requests.congested() && owner_ != nullptr) owner_->await_drain(target);
}

void gather_operation::on_reply(std::uint32_t index, const backend::reply_view& answer) {
  parts_[index].reply.assign(answer.bytes);
  if (--outstanding_ == 0) run_round();
}

void gather_operation::on_failure(std::uint32_t index, backend::failure why) {
  parts_[index].failed = why;
  if (--outstanding_ == 0) run_round();
}

bool gather_operation::answer_error(const std::vector<part>& parts) {
  const auto bad = std::find_if(parts.begin(), parts.end(), [](const part& p) { return p.is_error(); });
  if (bad == parts.end()) return false;
  const metrics::outcome outcome = bad->failed ? outcome_of(*bad->failed) : metrics::outcome::redis_error;
  answer(outcome, [&](resp::encoder& out, base::chunk_queue& raw) {
    if (bad->failed) {
      out.error(failure_text(context_, bad->bus, *bad->failed));
    } else {
      raw.append(bad->reply);
    }
  });
  return true;
}

void gather_operation::wait_then_restart(std::chrono::milliseconds delay) {
  timer_ = context_.timers.add(context_.now + delay, [this] {
    timer_.reset();
    run([this] { on_start(); });
  });
}

bool gather_operation::detach() {
  if (timer_) context_.timers.cancel(*timer_);
  return !running_ && (timer_ || outstanding_ == 0);
}

void gather_operation::end(metrics::outcome outcome) {
  ended_ = true;
  outcome_ = outcome;
}

void gather_operation::conclude() {
  if (owner_ == nullptr) return destroy();
  if (rounds_) owner_->release();
  finish(outcome_);
}

}  // namespace dualbus::session
