#pragma once

#include "connection.hpp"
#include "delivery_book.hpp"
#include "options.hpp"
#include "roster.hpp"

#include <dualbus/base/ring.hpp>

#include <array>
#include <memory>
#include <random>
#include <vector>

namespace dualbus::fleet {

/// The publishing half of one engine: a broadcast whenever one is due, one XADD after the other or all at
/// once. A failed one is counted and not tried again.
class publisher final : public reply_handler {
 public:
  /// `servers`: the server of each class of messages; equal ones share a connection.
  publisher(event_loop& loop, const options& o, const roster& who, const engine& self,
            const std::array<boost::asio::ip::tcp::endpoint, bus_classes>& servers, std::uint64_t seed,
            delivery_book& book);

  void open();
  bool is_open() const;
  /// The first broadcast is due at a random time within one interval from `when`.
  void start(base::time_point when);
  /// Begins no more broadcasts.
  void stop() { stopped_ = true; }
  /// True if no broadcast is under way.
  bool is_idle() const { return next_target_ == targets_.size() && outstanding_.empty(); }
  void close();

 private:
  struct sent {
    std::size_t stream;
    std::uint64_t index;
  };

  void on_open(connection& from) override;
  void on_reply(connection& from, std::string_view reply, char type, base::time_point received) override;
  void on_lost(connection& from) override;

  void await_due();
  void broadcast();
  void choose_targets();
  void send_next();
  void advance();
  connection& current() { return *connections_[active_]; }

  const options& options_;
  const roster& who_;
  delivery_book& book_;
  message_builder message_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<connection>> connections_;
  std::array<std::size_t, bus_classes> connection_of_{};
  boost::asio::steady_timer due_timer_;
  const base::duration interval_;
  base::time_point due_{};
  std::uint64_t broadcasts_ = 0;
  // The broadcast under way.
  std::vector<std::size_t> targets_;
  std::size_t next_target_ = 0, active_ = 0;
  message_type type_ = 0;
  base::ring<sent> outstanding_;
  bool stopped_ = false;
};

}  // namespace dualbus::fleet
