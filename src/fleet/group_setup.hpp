#pragma once

#include "call_counters.hpp"
#include "connection.hpp"
#include "roster.hpp"

#include <functional>
#include <memory>
#include <string>

namespace dualbus::fleet {

/// Creates the groups on one server, over a connection of its own that is closed afterwards.
class group_setup final : public reply_handler {
 public:
  /// `readers`: creates also the groups that the engines read with. `done` is called once, with the error or
  /// an empty text; the object may not be destroyed in it.
  group_setup(event_loop& loop, boost::asio::ip::tcp::endpoint server, const roster& who, bool readers,
              call_counters& calls, std::function<void(const std::string& problem)> done);

  void start() { connection_.open(); }

 private:
  void on_open(connection& from) override;
  void on_reply(connection& from, std::string_view reply, char type, base::time_point received) override;
  void on_lost(connection& from) override;
  void create(std::size_t stream, const std::string& group, std::string_view start);

  const roster& who_;
  const bool readers_;
  call_counters& calls_;
  std::function<void(const std::string&)> done_;
  connection connection_;
  std::size_t outstanding_ = 0;
  std::string problem_;
};

}  // namespace dualbus::fleet
