#pragma once

#include "connection.hpp"
#include "message.hpp"
#include "options.hpp"

#include <memory>
#include <string>
#include <vector>

namespace dualbus::fleet {

/// Writers that saturate one bus: on each connection as many XADDs in flight as the pipeline is deep, into
/// streams of their own, `flood-<bus>-<number>`.
class flood final : public reply_handler {
 public:
  flood(event_loop& loop, const options& o, bus_class bus, const boost::asio::ip::tcp::endpoint& server);

  void start();
  void stop();
  std::uint64_t stored() const { return stored_; }
  std::uint64_t failed() const { return failed_; }
  /// From start() to stop().
  double seconds() const;

 private:
  struct writer {
    std::unique_ptr<connection> link;
    std::string half;  // of the pipeline, encoded
    std::size_t in_flight = 0;
  };

  void on_open(connection& from) override;
  void on_reply(connection& from, std::string_view reply, char type, base::time_point received) override;
  void on_lost(connection& from) override;
  writer& writer_of(const connection& from);

  std::vector<writer> writers_;
  const std::size_t half_;  // XADDs
  std::uint64_t stored_ = 0, failed_ = 0;
  base::time_point started_{}, stopped_{};
};

}  // namespace dualbus::fleet
