#pragma once

#include "connection.hpp"
#include "delivery_book.hpp"
#include "options.hpp"
#include "poll_schedule.hpp"
#include "roster.hpp"

#include <dualbus/resp/reply_reader.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace dualbus::fleet {

/// One loop that reads streams over one connection: poll, acknowledge, next stream; errors are counted only.
class reader final : public reply_handler {
 public:
  /// `streams`: the streams that it reads. `only`: the class of the messages on this server, if it has just
  /// one.
  reader(event_loop& loop, const options& o, const roster& who, const engine& self,
         std::vector<std::size_t> streams, boost::asio::ip::tcp::endpoint server,
         std::optional<bus_class> only, delivery_book& book);

  void open() { connection_.open(); }
  bool is_open() const { return connection_.is_open(); }
  /// True if nothing that was delivered is still to be acknowledged.
  bool is_settled() const { return acks_.empty() && !recovering_; }
  void stop();

 private:
  struct entry_id {
    std::array<char, 42> text;  // two 64-bit integers and a dash
    std::uint8_t size;
    std::uint8_t poll_position;  // of the stream among those that this reader reads
    std::string_view view() const { return {text.data(), size}; }
  };

  void on_open(connection& from) override;
  void on_reply(connection& from, std::string_view reply, char type, base::time_point received) override;
  void on_lost(connection& from) override;

  void poll();
  void on_poll_reply(std::string_view reply, char type, base::time_point received);
  /// Returns the number of entries.
  std::size_t take_streams(resp::reply_reader& values, const resp::reply_value& head,
                           base::time_point received);
  void take_entry(resp::reply_reader& values, std::size_t position, base::time_point received);
  void deliver(std::string_view type, std::string_view correlation, std::size_t stream,
               base::time_point received);
  void acknowledge();
  void on_ack_reply(std::string_view reply, char type);
  void finish_poll(bool found);

  const options& options_;
  const engine& self_;
  const std::string& group_;
  const std::vector<std::size_t> streams_;
  std::vector<std::string> keys_;
  const std::optional<bus_class> only_;
  delivery_book& book_;
  connection connection_;
  boost::asio::steady_timer pause_;
  poll_schedule schedule_;
  std::vector<entry_id> acks_;  // to be sent; acked_ of them are
  std::size_t acked_ = 0, acking_ = 0;
  bool asking_ = false;      // a request is unanswered
  bool recovering_ = false;  // reads what is pending
  bool recovered_ = false;   // something in this pass
  bool stopped_ = false;
};

}  // namespace dualbus::fleet
