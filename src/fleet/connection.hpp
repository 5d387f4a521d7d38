#pragma once

#include "event_loop.hpp"

#include <dualbus/base/clock.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/base/unique_fd.hpp>
#include <dualbus/resp/reply_scanner.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

namespace dualbus::fleet {

class connection;

/// The user of a connection. Replies come in the order of the requests; the view lives until the call
/// returns. Requests appended to the connection's out() in a call are sent when the call is over.
class reply_handler {
 public:
  virtual ~reply_handler() = default;
  /// Connected, for the first time or again.
  virtual void on_open(connection& from) = 0;
  virtual void on_reply(connection& from, std::string_view reply, char type, base::time_point received) = 0;
  /// Requests without a reply get none any more. The connection is already trying to come back.
  virtual void on_lost(connection& from) = 0;
};

/// One client connection to a Redis or to the daemon, which comes back whenever it is lost. It must outlive
/// the loop's run.
class connection final : public base::io_handler {
 public:
  /// `client_name`: for CLIENT SETNAME, which comes before everything else; empty: none.
  connection(event_loop& loop, boost::asio::ip::tcp::endpoint address, std::string client_name,
             reply_handler& owner);
  ~connection() override;

  void open();
  /// Closes for good, without telling the owner.
  void close();
  bool is_open() const { return open_; }
  /// The number of times that it was open and got lost.
  std::uint64_t losses() const { return losses_; }

  /// The queue for requests, only while it is open. Outside of the handler's calls flush() sends them.
  base::chunk_queue& out() { return out_; }
  void flush();

 private:
  void on_readable() override;
  void on_writable() override;
  void on_hangup(bool both_directions) override;
  void connected();
  void parse(base::time_point received);
  void lost();
  void update_interest();

  event_loop& loop_;
  const boost::asio::ip::tcp::endpoint address_;
  const std::string client_name_;
  reply_handler& owner_;
  base::unique_fd fd_;
  base::read_buffer input_;
  base::chunk_queue out_;
  resp::reply_scanner scanner_;
  boost::asio::steady_timer retry_;
  std::uint64_t losses_ = 0;
  int greetings_ = 0;  // replies to come that the owner did not ask for
  bool open_ = false, closed_ = false, write_armed_ = false;
};

}  // namespace dualbus::fleet
