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
                       bool with_error, unblocking*& place, std::function<void()> failed) {
  place = new unblocking(context, bus, waiting, with_error, place, std::move(failed));
}

unblocking::unblocking(worker_context& context, command::bus_index bus, const backend::link& waiting,
                       bool with_error, unblocking*& place, std::function<void()> failed)
    : context_(context),
      bus_(bus),
      waiting_(&waiting),
      place_(&place),
      failed_(std::move(failed)),
      with_error_(with_error) {
  // Not at once: what is appended during EXEC would become part of a transaction.
  send_at(context.now);
}

void unblocking::give_back(worker_context& context, command::bus_index bus, backend::link*& link,
                           unblocking*& told, bool answered) {
  backend::link* const used = std::exchange(link, nullptr);
  if (used == nullptr) return;
  if (told != nullptr && answered) return told->take(*used);
  if (told != nullptr) told->forget();
  context.bus(bus).dedicated().release(*used, answered, context.now);
}

void unblocking::forget() {
  *std::exchange(place_, nullptr) = nullptr;
  waiting_ = nullptr;
  if (!timer_) return;  // it ends with the answer
  context_.timers.cancel(*timer_);
  delete this;
}

void unblocking::take(backend::link& link) {
  if (timer_) {  // no order is on its way
    context_.bus(bus_).dedicated().release(link, true, context_.now);
  } else {
    returned_ = &link;
  }
  forget();
}

void unblocking::send_at(base::time_point when) {
  timer_ = context_.timers.add(when, [this] { send(); });
}

void unblocking::send() {
  timer_.reset();
  const std::int64_t id = waiting_->socket.client_id();
  backend::pipeline& bus = context_.bus(bus_).requests(resp::protocol::resp2, 0, context_.now);
  if (id == 0 || !bus.accepts()) return ended(result::not_there);
  const std::string number = std::to_string(id);
  const std::string_view words[] = {"CLIENT", "UNBLOCK", number, with_error_ ? "ERROR" : "TIMEOUT"};
  resp::encoder(bus.begin()).request(words);
  bus.end(*this, 0, context_.now);
}

void unblocking::on_reply(std::uint32_t, const backend::reply_view& answer) {
  if (answer.is_error()) return ended(result::failed);
  ended(answer.bytes == ":0\r\n" ? result::not_there : result::done);
}

void unblocking::on_failure(std::uint32_t, backend::failure why) {
  ended(why == backend::failure::bus_down ? result::not_there : result::unknown);
}

void unblocking::ended(result how) {
  if (returned_ != nullptr) {
    context_.bus(bus_).dedicated().release(*returned_, how != result::unknown, context_.now);
  } else if (place_ != nullptr) {
    if (how == result::not_there && ++attempts_ < most_attempts) {
      return send_at(context_.now + std::chrono::milliseconds(1 << (attempts_ - 1)));
    }
    *place_ = nullptr;
    if (how != result::done) failed_();
  }
  delete this;
}

}  // namespace dualbus::session
