#pragma once

#include <dualbus/backend/link.hpp>

#include <cstdint>
#include <memory>
#include <string_view>

namespace dualbus::backend {

/// The kinds of subscriptions: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE.
enum class subscription : std::uint8_t { channel, pattern, shard };
inline constexpr std::size_t subscription_kinds = 3;

/// One worker's Pub/Sub connection to one bus, in RESP3: messages come as pushes.
///
/// Redis answers subscriptions with pushes, too, and with a reply only to refuse them. So a numbered PING
/// goes behind each turn's subscriptions: its answer says that everything before it has been carried out.
/// Without subscriptions a PING goes once per health_interval; numbers that do not follow one another end the
/// connection. Nothing is kept over a lost connection: the listener subscribes again when it is told that
/// there is a new one.
class subscriber final : private pipeline_observer, private reply_sink {
 public:
  class listener {
   public:
    /// Nothing is subscribed to yet on this connection.
    virtual void on_subscriber_up(command::bus_index bus) = 0;
    virtual void on_subscriber_down(command::bus_index bus) = 0;
    /// `name` is what was subscribed to, `push` the whole message as RESP3 has it; both valid during the
    /// call.
    virtual void on_message(command::bus_index bus, subscription kind, std::string_view name,
                            std::string_view push) = 0;
    /// confirmed() has grown.
    virtual void on_confirmed(command::bus_index bus) = 0;

   protected:
    ~listener() = default;
  };

  /// Both outlive the subscriber.
  subscriber(const link_environment& environment, command::bus_index bus, listener& told);
  ~subscriber();

  /// Connects, if it is not connected yet.
  void start(base::time_point now);
  /// Closes the connection; nothing is told.
  void stop(base::time_point now);
  bool started() const { return link_ != nullptr; }
  /// The bus has another login, or `other_server`: connects anew. A connection to the same server is kept if
  /// it is up, because messages published meanwhile would be missed.
  void renew(bool other_server, base::time_point now) {
    if (link_ && (other_server || !up_)) link_->socket.reconnect(now);
  }
  bool up() const { return up_; }

  /// Only while up(). When memory runs out they throw std::bad_alloc, and nothing is asked for.
  void subscribe(subscription kind, std::string_view name);
  void unsubscribe(subscription kind, std::string_view name);
  /// The last of the two is not asked for after all; call it at once.
  void take_back();

  /// The number that confirmed() reaches when everything asked for until now has been carried out; while the
  /// connection is not up, when everything subscribed to after connecting has been.
  std::uint64_t target() const { return open_ || !up_ ? pings_ + 1 : pings_; }
  std::uint64_t confirmed() const { return confirmed_; }

  void flush(base::time_point now) {
    if (link_ && (disordered_ || open_ || link_->requests.unsent_bytes() > 0)) flush_link(now);
  }
  void tick(base::time_point now);
  /// The state of its connection, if it has one.
  void observe(metrics::bus_metrics& out) const;

 private:
  void on_connected() override;
  void on_disconnected() override;
  void on_push(std::string_view push) override;
  bool on_unasked(std::string_view reply) override;
  void on_reply(std::uint32_t part, const reply_view& reply) override;
  void on_failure(std::uint32_t, failure) override {}
  bool abandoned() const override { return false; }

  void flush_link(base::time_point now);
  void send(std::string_view command, std::string_view name);
  void close_batch(base::time_point now);
  void read_reply(std::string_view reply);

  metrics::bus_metrics unseen_;  // its requests are none of the clients'
  link_environment environment_;
  pipeline_settings requests_;
  const link_environment& shared_;
  const command::bus_index bus_;
  listener& told_;
  std::unique_ptr<backend::link> link_;
  std::uint64_t pings_ = 0, confirmed_ = 0;  // over all connections
  std::uint64_t next_number_ = 1;            // of the next PING to be answered
  std::uint64_t errors_ = 0;                 // as many numbers may be missing
  base::time_point next_check_{};
  std::size_t last_begin_ = 0;  // where the last request begins among the unsent bytes
  bool up_ = false, open_ = false, refused_ = false, disordered_ = false;
};

}  // namespace dualbus::backend
