#include <dualbus/client/session.hpp>
#include <dualbus/operation/transaction.hpp>
#include <dualbus/operation/watch_operation.hpp>
#include <dualbus/resp/encoder.hpp>

#include <utility>

namespace dualbus::operation {

watch_operation::watch_operation(environment& environment, session& owner, routed_request& request,
                                 command::bus_index bus, bool selects)
    : request_operation(environment, owner, request), bus_(bus), selects_(selects) {
  owner.hold();
  const auto limit = environment.configuration().backend.request_timeout;
  if (limit.count() == 0) return;
  timer_ = environment.turn.timers.add(environment.turn.now + limit, [this] {
    timer_.reset();
    timed_out_ = true;
    if (owner_ != nullptr) transaction_of(*owner_)->lose_watch();
  });
}

watch_operation::~watch_operation() {
  stop_clock();
}

void watch_operation::stop_clock() {
  if (timer_) env_.turn.timers.cancel(*std::exchange(timer_, std::nullopt));
}

void watch_operation::on_reply(std::uint32_t part, const backend::reply_view& answer) {
  if (selects_ && part == 0) {
    if (owner_ != nullptr && answer.is_error()) error_ = answer.bytes;
    return;
  }
  stop_clock();
  if (owner_ == nullptr) return destroy();
  transaction* const begun = transaction_of(*owner_);
  if (!error_.empty()) {
    begun->lose_watch();  // the bus would watch keys of the previous database
  } else if (!answer.is_error() && begun->watches()) {
    begun->watching();
  }
  owner_->release();
  const bool failed = !error_.empty() || answer.is_error();
  reply().append(error_.empty() ? answer.bytes : error_);
  finish(failed ? metrics::outcome::redis_error : metrics::outcome::ok);
}

void watch_operation::on_failure(std::uint32_t, backend::failure why) {
  stop_clock();
  if (owner_ == nullptr) return destroy();
  if (timed_out_) why = backend::failure::bus_timeout;
  transaction_of(*owner_)->lose_watch();
  owner_->release();
  resp::encoder(reply()).error(failure_text(env_, bus_, why));
  finish(outcome_of(why));
}

}  // namespace dualbus::operation
