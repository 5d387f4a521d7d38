#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/session/keyspace_survey.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace dualbus::session {
namespace {

constexpr std::chrono::seconds patience{1};

// The number behind `name=` among fields that commas part.
std::uint64_t field(std::string_view fields, std::string_view name) {
  for (std::size_t at = 0; at < fields.size();) {
    const std::string_view one = fields.substr(at, fields.find(',', at) - at);
    if (one.starts_with(name)) return base::parse_uint64(one.substr(name.size())).value_or(0);
    at += one.size() + 1;
  }
  return 0;
}

}  // namespace

void keyspace_figures::add(std::string_view info, int first, int databases) {
  while (!info.empty()) {
    const std::string_view line = info.substr(0, info.find("\r\n"));
    info.remove_prefix(std::min(info.size(), line.size() + 2));
    const std::size_t colon = line.find(':');
    if (!line.starts_with("db") || colon == std::string_view::npos) continue;
    const auto number = base::parse_int64(line.substr(2, colon - 2));
    if (!number || *number < first || *number >= first + databases) continue;
    const std::string_view fields = line.substr(colon + 1);
    figures& sum = databases_[static_cast<int>(*number - first)];
    const std::uint64_t expires = field(fields, "expires=");
    sum.keys += field(fields, "keys=");
    sum.expires += expires;
    sum.summed_ttl += static_cast<double>(expires) * static_cast<double>(field(fields, "avg_ttl="));
  }
}

std::string keyspace_figures::section() const {
  std::string text = "# Keyspace\r\n";
  for (const auto& [number, sum] : databases_) {
    const double average = sum.expires == 0 ? 0 : sum.summed_ttl / static_cast<double>(sum.expires);
    text += "db" + std::to_string(number) + ":keys=" + std::to_string(sum.keys) +
            ",expires=" + std::to_string(sum.expires) +
            ",avg_ttl=" + std::to_string(static_cast<std::uint64_t>(average)) + "\r\n";
  }
  return text;
}

keyspace_survey::keyspace_survey(worker_context& context, handler done)
    : context_(context), done_(std::move(done)) {}

void keyspace_survey::start(worker_context& context, handler done) {
  (new keyspace_survey(context, std::move(done)))->ask();
}

// A bus that hangs must not keep INFO waiting, which is what health checks ask for.
void keyspace_survey::ask() {
  constexpr std::string_view request[] = {"INFO", "keyspace"};
  timer_ = context_.timers.add(context_.now + patience, [this] {
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

void keyspace_survey::on_reply(std::uint32_t bus, const backend::reply_view& reply) {
  const config::configuration& settings = context_.configuration();
  if (!reply.is_error()) {
    found_.add(resp::reply_reader(reply.bytes).next().text, settings.buses[bus].database, settings.databases);
  }
  count_down();
}

void keyspace_survey::on_failure(std::uint32_t, backend::failure) {
  count_down();
}

void keyspace_survey::count_down() {
  if (--outstanding_ > 0) return;
  if (timer_) context_.timers.cancel(*timer_);
  tell();
  delete this;
}

void keyspace_survey::tell() {
  if (done_) std::exchange(done_, nullptr)(found_);
}

}  // namespace dualbus::session
