#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/config/configuration.hpp>

#include <chrono>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace dualbus::backend {

/// Notices that the name of a bus's endpoint leads to other addresses than the one to which the bus is
/// connected: it has the name resolved again and again. A name that cannot be resolved says nothing.
class name_watch {
 public:
  /// Both outlive it.
  name_watch(boost::asio::io_context& io, const config::bus_settings& target);
  ~name_watch();

  /// Call it often. `interval`: from one look to the next, 0: none. `peer`: the address that the bus is
  /// connected to. True, once per look, if the name does not lead there any more.
  bool tick(std::chrono::milliseconds interval, const boost::asio::ip::address& peer, base::time_point now);

 private:
  void look();

  boost::asio::ip::tcp::resolver resolver_;
  const config::bus_settings& target_;
  boost::asio::ip::address peer_;
  base::time_point next_{};
  bool looking_ = false, elsewhere_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for late answers
};

}  // namespace dualbus::backend
