#include "group_setup.hpp"

#include <dualbus/resp/encoder.hpp>

#include <array>

namespace dualbus::fleet {

group_setup::group_setup(event_loop& loop, boost::asio::ip::tcp::endpoint server, const roster& who,
                         bool readers, call_counters& calls,
                         std::function<void(const std::string& problem)> done)
    : who_(who),
      readers_(readers),
      calls_(calls),
      done_(std::move(done)),
      connection_(loop, std::move(server), {}, *this) {}

void group_setup::on_open(connection&) {
  outstanding_ = 0;
  for (std::size_t stream = 0; stream < who_.streams().size(); ++stream) {
    create(stream, who_.own_group(stream), "$");
    for (std::size_t group = 0; readers_ && group < who_.groups().size(); ++group) {
      // The group begins at the end: messages that earlier runs have left are nobody's business.
      if ((who_.readers(stream) >> group & 1) != 0) create(stream, who_.groups()[group], "$");
    }
  }
}

void group_setup::create(std::size_t stream, const std::string& group, std::string_view start) {
  const std::array<std::string_view, 6> args = {"XGROUP", "CREATE", who_.streams()[stream],
                                                group,    start,    "MKSTREAM"};
  resp::encoder(connection_.out()).request(args);
  calls_.call();
  ++outstanding_;
}

void group_setup::on_reply(connection& from, std::string_view reply, char type, base::time_point) {
  if (type == '-') {
    const std::string_view text = reply.substr(1, reply.find('\r') - 1);
    // A group that an earlier run has left is as good as a new one.
    if (!text.starts_with("BUSYGROUP")) {
      calls_.fail(text);
      if (problem_.empty()) problem_ = "XGROUP CREATE: " + std::string(text);
    }
  }
  if (--outstanding_ > 0) return;
  from.close();
  done_(problem_);
}

void group_setup::on_lost(connection&) {
  calls_.lose(outstanding_);
}

}  // namespace dualbus::fleet
