#include <dualbus/backend/name_watch.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace dualbus::backend {

name_watch::name_watch(boost::asio::io_context& io, const config::bus_settings& target)
    : resolver_(io), target_(target) {}

name_watch::~name_watch() {
  *alive_ = false;
}

bool name_watch::tick(std::chrono::milliseconds interval, const boost::asio::ip::address& peer,
                      base::time_point now) {
  if (interval.count() == 0 || !target_.unix_socket.empty()) return false;
  if (peer != peer_) {  // a new connection has just had the name resolved
    peer_ = peer;
    next_ = now + interval;
    elsewhere_ = false;
  }
  if (now >= next_ && !looking_) {
    next_ = now + interval;
    boost::system::error_code not_numeric;
    boost::asio::ip::make_address(target_.host, not_numeric);
    if (not_numeric) look();
  }
  return std::exchange(elsewhere_, false);
}

void name_watch::look() {
  looking_ = true;
  resolver_.async_resolve(
      target_.host, std::to_string(target_.port),
      [this, alive = alive_, peer = peer_](const boost::system::error_code& error, const auto& results) {
        if (!*alive) return;
        looking_ = false;
        if (error || results.empty() || peer != peer_) return;
        elsewhere_ = std::none_of(results.begin(), results.end(),
                                  [&](const auto& result) { return result.endpoint().address() == peer; });
      });
}

}  // namespace dualbus::backend
