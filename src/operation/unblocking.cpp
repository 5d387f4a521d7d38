#include "unblocking.hpp"

#include <dualbus/resp/encoder.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace dualbus::operation {
namespace {

// 1, 2, 4, … ms: together some 8 s, longer than any connection takes that can be made at all.
constexpr int most_attempts = 13;

}  // namespace

void unblocking::start(environment& environment, command::bus_index bus, const backend::link& waiting,
                       bool with_error, unblocking*& place, std::function<void()> failed) {
  place = new unblocking(environment, bus, waiting, with_error, place, std::move(failed));
}

unblocking::unblocking(environment& environment, command::bus_index bus, const backend::link& waiting,
                       bool with_error, unblocking*& place, std::function<void()> failed)
    : env_(environment),
      bus_(bus),
      waiting_(&waiting),
      place_(&place),
      failed_(std::move(failed)),
      with_error_(with_error) {
  // Not at once: a request appended during EXEC would become part of a transaction.
  send_at(environment.turn.now);
}

void unblocking::give_back(environment& environment, command::bus_index bus, backend::link*& link,
                           unblocking*& told, bool answered) {
  backend::link* const used = std::exchange(link, nullptr);
  if (used == nullptr) return;
  if (told != nullptr && answered) return told->take(*used);
  if (told != nullptr) told->forget();
  environment.buses.bus(bus).dedicated().release(*used, answered, environment.turn.now);
}

void unblocking::forget() {
  *std::exchange(place_, nullptr) = nullptr;
  waiting_ = nullptr;
  if (!timer_) return;  // the order ends with the answer
  env_.turn.timers.cancel(*timer_);
  delete this;
}

void unblocking::take(backend::link& link) {
  if (timer_) {  // no order is on its way
    env_.buses.bus(bus_).dedicated().release(link, true, env_.turn.now);
  } else {
    returned_ = &link;
  }
  forget();
}

void unblocking::send_at(base::time_point when) {
  timer_ = env_.turn.timers.add(when, [this] { send(); });
}

void unblocking::send() {
  timer_.reset();
  const std::int64_t id = waiting_->socket.client_id();
  backend::pipeline& bus = env_.buses.bus(bus_).requests_beside(*waiting_, env_.turn.now);
  const std::string number = std::to_string(id);
  const std::string_view words[] = {"CLIENT", "UNBLOCK", number, with_error_ ? "ERROR" : "TIMEOUT"};
  const auto write = [&words](base::chunk_queue& out) { resp::encoder(out).request(words); };
  if (id == 0 || !bus.accepts() || !bus.encode(write)) return ended(result::not_there);
  bus.end(*this, 0, env_.turn.now);
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
    env_.buses.bus(bus_).dedicated().release(*returned_, how != result::unknown, env_.turn.now);
  } else if (place_ != nullptr) {
    if (how == result::not_there && ++attempts_ < most_attempts) {
      return send_at(env_.turn.now + std::chrono::milliseconds(1 << (attempts_ - 1)));
    }
    *place_ = nullptr;
    if (how != result::done) failed_();
  }
  delete this;
}

}  // namespace dualbus::operation
