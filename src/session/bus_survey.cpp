#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/bus_survey.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace dualbus::session {
namespace {

constexpr std::chrono::milliseconds patience{1000};

}  // namespace

bus_survey::bus_survey(worker_context& context, handler done)
    : context_(context), done_(std::move(done)), found_(context.bus_count()) {}

void bus_survey::start(worker_context& context, std::span<const std::string_view> request, handler done) {
  (new bus_survey(context, std::move(done)))->ask(request);
}

void bus_survey::start_info(worker_context& context, std::string_view section, info_handler done) {
  const std::string_view request[] = {"INFO", section};
  start(context, request, [done = std::move(done)](const std::vector<std::string>& replies) {
    std::vector<bus_info> infos(replies.size());
    for (std::size_t i = 0; i < replies.size(); ++i) {
      if (!replies[i].empty()) infos[i] = bus_info(std::string(resp::reply_reader(replies[i]).next().text));
    }
    done(infos);
  });
}

// A bus that hangs must not keep INFO waiting, which is what health checks ask for.
void bus_survey::ask(std::span<const std::string_view> request) {
  const auto limit = context_.configuration().backend.request_timeout;
  const auto wait = limit.count() == 0 ? patience : std::min<std::chrono::milliseconds>(patience, limit);
  timer_ = context_.timers.add(context_.now + wait, [this] {
    timer_.reset();
    tell();
  });
  for (std::size_t i = 0; i < context_.bus_count(); ++i) {
    backend::bus& bus = context_.bus(static_cast<command::bus_index>(i));
    if (!bus.responsive(context_.now)) continue;
    backend::pipeline& requests = bus.requests(resp::protocol::resp2, 0, context_.now);
    if (!requests.accepts()) continue;
    ++outstanding_;
    resp::encoder(requests.begin()).request(request);
    requests.end(*this, static_cast<std::uint32_t>(i), context_.now);
  }
  count_down();
}

void bus_survey::on_reply(std::uint32_t bus, const backend::reply_view& reply) {
  if (!reply.is_error()) found_[bus] = reply.bytes;
  count_down();
}

void bus_survey::on_failure(std::uint32_t, backend::failure) {
  count_down();
}

void bus_survey::count_down() {
  if (--outstanding_ > 0) return;
  if (timer_) context_.timers.cancel(*timer_);
  tell();
  delete this;
}

void bus_survey::tell() {
  if (done_) std::exchange(done_, nullptr)(found_);
}

}  // namespace dualbus::session
