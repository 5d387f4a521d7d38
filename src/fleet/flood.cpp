#include "flood.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace dualbus::fleet {
namespace {

// The streams are short, so that the flood costs time and not memory.
constexpr std::uint64_t maxlen = 10'000;

}  // namespace

flood::flood(event_loop& loop, const options& o, bus_class bus, const boost::asio::ip::tcp::endpoint& server)
    : half_(std::max<std::size_t>(1, o.flood_pipeline / 2)) {
  const std::string name = "flood-" + std::string(name_of(bus));
  const message_type type = bus == bus_class::marketdata ? 0 : marketdata_types();
  for (std::size_t number = 0; number < o.flood_connections; ++number) {
    const std::string key = name + "-" + std::to_string(number);
    message_builder message(name, key, o.payload_bytes, maxlen);
    base::chunk_queue requests(loop.chunks());
    for (std::size_t i = 0; i < half_; ++i) {
      message.begin(i);
      message.append(requests, key, type, {});
    }
    writers_.push_back({std::make_unique<connection>(loop, server, o.names ? name : std::string(), *this),
                        requests.take_all()});
  }
}

flood::writer& flood::writer_of(const connection& from) {
  return *std::find_if(writers_.begin(), writers_.end(),
                       [&](const writer& w) { return w.link.get() == &from; });
}

void flood::start() {
  started_ = base::clock::now();
  for (writer& w : writers_) w.link->open();
}

void flood::stop() {
  if (stopped_ != base::time_point{}) return;
  stopped_ = base::clock::now();
  for (writer& w : writers_) w.link->close();
}

double flood::seconds() const {
  return std::chrono::duration<double>(stopped_ - started_).count();
}

void flood::on_open(connection& from) {
  writer& w = writer_of(from);
  from.out().append(w.half);
  from.out().append(w.half);
  w.in_flight = 2 * half_;
}

void flood::on_reply(connection& from, std::string_view, char type, base::time_point) {
  ++(type == '-' ? failed_ : stored_);
  writer& w = writer_of(from);
  if (--w.in_flight > half_) return;
  from.out().append(w.half);
  w.in_flight += half_;
}

void flood::on_lost(connection& from) {
  failed_ += std::exchange(writer_of(from).in_flight, 0);
}

}  // namespace dualbus::fleet
