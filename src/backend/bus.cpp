#include <dualbus/backend/bus.hpp>

#include <utility>

namespace dualbus::backend {
namespace {

// Forks and slow commands stop a healthy Redis for less than this, and a busy machine does.
constexpr std::chrono::milliseconds patience{1000};

}  // namespace

bus::bus(link_environment environment) : environment_(std::move(environment)), dedicated_(environment_) {
  shared_[0] = std::make_unique<link>(environment_, resp::protocol::resp2);
}

void bus::start(base::time_point now) {
  shared_[0]->socket.start(now);
}

void bus::stop(base::time_point now) {
  for (auto& l : shared_) {
    if (l) l->socket.stop(now);
  }
  dedicated_.stop(now);
}

pipeline& bus::requests(resp::protocol version, base::time_point now) {
  if (diverted_ != nullptr) [[unlikely]]
    return *diverted_;
  auto& l = shared_[version == resp::protocol::resp3 ? 1 : 0];
  if (!l) {
    l = std::make_unique<link>(environment_, version);
    l->socket.start(now);
  }
  return l->requests;
}

bool bus::responsive(base::time_point now) const {
  if (!up()) return false;
  for (const auto& l : shared_) {
    if (!l) continue;
    const auto owed_since = l->requests.oldest_sent();
    if (owed_since && now - *owed_since >= patience) return false;
  }
  return true;
}

void bus::flush(base::time_point now) {
  bool congested = false;
  for (auto& l : shared_) {
    if (!l) continue;
    if (l->requests.unsent_bytes() > 0) l->socket.flush(now);
    congested |= l->requests.congested();
  }
  dedicated_.flush(now);
  if (congested || waiting_.empty()) return;
  for (drain_listener* listener : std::exchange(waiting_, {})) listener->on_drained();
}

void bus::tick(base::time_point now) {
  for (auto& l : shared_) {
    if (!l) continue;
    l->socket.tick(now);
    l->requests.tick(now);
  }
  dedicated_.tick(now);
}

void bus::forget(drain_listener& listener) {
  std::erase(waiting_, &listener);
}

void bus::observe(metrics::bus_metrics& out) const {
  for (const auto& l : shared_) {
    if (!l) continue;
    ++out.connections[static_cast<std::size_t>(l->socket.state())];
    out.waiting += l->requests.waiting();
    out.in_flight += l->requests.in_flight();
    out.abandoned += l->requests.abandoned();
  }
  dedicated_.observe(out);
}

}  // namespace dualbus::backend
