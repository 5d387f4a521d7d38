#include <dualbus/backend/bus.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::backend {

bus::bus(boost::asio::io_context& io, base::poller& poller, base::chunk_pool& pool,
         const config::backend_settings& settings, const config::bus_settings& target,
         const pipeline_settings& requests, std::string name, metrics::bus_metrics& metrics)
    : io_(io),
      poller_(poller),
      pool_(pool),
      settings_(settings),
      target_(target),
      request_settings_(requests),
      name_(std::move(name)),
      metrics_(metrics) {
  links_[0] = std::make_unique<link>(*this, resp::protocol::resp2);
}

bus::link::link(bus& owner, resp::protocol version)
    : requests(owner.pool_, owner.request_settings_, owner.metrics_),
      socket(owner.io_, owner.poller_, owner.settings_, owner.target_, owner.name_, version, requests,
             owner.metrics_) {}

void bus::start(base::time_point now) {
  links_[0]->socket.start(now);
}

void bus::stop(base::time_point now) {
  for (auto& l : links_) {
    if (l) l->socket.stop(now);
  }
}

pipeline& bus::requests(resp::protocol version, base::time_point now) {
  auto& l = links_[version == resp::protocol::resp3 ? 1 : 0];
  if (!l) {
    l = std::make_unique<link>(*this, version);
    l->socket.start(now);
  }
  return l->requests;
}

void bus::flush(base::time_point now) {
  bool congested = false;
  for (auto& l : links_) {
    if (!l) continue;
    if (l->requests.unsent_bytes() > 0) l->socket.flush(now);
    congested |= l->requests.congested();
  }
  if (congested || waiting_.empty()) return;
  for (drain_listener* listener : std::exchange(waiting_, {})) listener->on_drained();
}

void bus::tick(base::time_point now) {
  for (auto& l : links_) {
    if (!l) continue;
    l->socket.tick(now);
    l->requests.tick(now);
  }
}

void bus::forget(drain_listener& listener) {
  std::erase(waiting_, &listener);
}

void bus::observe(metrics::bus_metrics& out) const {
  for (const auto& l : links_) {
    if (!l) continue;
    ++out.connections[static_cast<std::size_t>(l->socket.state())];
    out.waiting += l->requests.waiting();
    out.in_flight += l->requests.in_flight();
    out.abandoned += l->requests.abandoned();
  }
}

bool bus::idle() const {
  return std::all_of(std::begin(links_), std::end(links_),
                     [](const auto& l) { return !l || l->requests.idle(); });
}

}  // namespace dualbus::backend
