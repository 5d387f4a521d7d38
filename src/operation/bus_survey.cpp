#include <dualbus/operation/bus_survey.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace dualbus::operation {
namespace {

constexpr std::chrono::milliseconds patience{1000};

}  // namespace

bus_survey::bus_survey(environment& environment, handler done)
    : env_(environment), done_(std::move(done)), found_(environment.buses.count()) {}

void bus_survey::start(environment& environment, std::span<const std::string_view> request, handler done) {
  (new bus_survey(environment, std::move(done)))->ask(request);
}

void bus_survey::start_info(environment& environment, std::string_view section, info_handler done) {
  const std::string_view request[] = {"INFO", section};
  start(environment, request, [done = std::move(done)](const std::vector<std::string>& replies) {
    std::vector<bus_info> infos(replies.size());
    for (std::size_t i = 0; i < replies.size(); ++i) {
      if (!replies[i].empty()) infos[i] = bus_info(std::string(resp::reply_reader(replies[i]).next().text));
    }
    done(infos);
  });
}

// A bus that hangs must not delay INFO, which health checks use.
void bus_survey::ask(std::span<const std::string_view> request) {
  const auto limit = env_.configuration().backend.request_timeout;
  const auto wait = limit.count() == 0 ? patience : std::min<std::chrono::milliseconds>(patience, limit);
  timer_ = env_.turn.timers.add(env_.turn.now + wait, [this] {
    timer_.reset();
    tell();
  });
  for (std::size_t i = 0; i < env_.buses.count(); ++i) {
    backend::bus& bus = env_.buses.bus(static_cast<command::bus_index>(i));
    if (!bus.responsive(env_.turn.now)) continue;
    backend::pipeline& requests = bus.requests(resp::protocol::resp2, 0, env_.turn.now);
    const auto write = [request](base::chunk_queue& out) { resp::encoder(out).request(request); };
    if (!requests.accepts() || !requests.encode(write)) continue;
    ++outstanding_;  // not before: a request that finds no memory has no answer
    requests.end(*this, static_cast<std::uint32_t>(i), env_.turn.now);
  }
  count_down();
}

void bus_survey::on_reply(std::uint32_t bus, const backend::reply_view& reply) {
  try {
    if (!reply.is_error()) found_[bus] = reply.bytes;
  } catch (const std::bad_alloc&) {
    found_[bus].clear();  // as if it had not answered
  }
  count_down();
}

void bus_survey::on_failure(std::uint32_t, backend::failure) {
  count_down();
}

void bus_survey::count_down() {
  if (--outstanding_ > 0) return;
  const std::unique_ptr<bus_survey> ended(this);  // even if there is no memory for the result
  if (timer_) env_.turn.timers.cancel(*timer_);
  tell();
}

void bus_survey::tell() {
  if (done_) std::exchange(done_, nullptr)(found_);
}

}  // namespace dualbus::operation
