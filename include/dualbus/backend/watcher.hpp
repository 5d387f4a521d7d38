#pragma once

#include <dualbus/backend/link.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace dualbus::backend {

/// Learns from one bus which keys change, for whoever waits for entries: a RESP3 connection of its own with
/// CLIENT TRACKING, on which EXISTS makes Redis announce the key's next change, once, whoever makes it.
///
/// A PING every ping_interval makes sure that announcements arrive; Redis writes them in front of the answer.
/// A connection that leaves it unanswered, or gives another one's answer, is given up. Changes of groups are
/// not announced: INFO commandstats shows once per recheck_interval whether there were any.
class watcher final : private pipeline_observer, private reply_sink {
 public:
  static constexpr std::chrono::milliseconds ping_interval{100};
  static constexpr std::chrono::milliseconds ping_timeout{250};
  static constexpr std::chrono::milliseconds recheck_interval{1000};

  class listener {
   public:
    /// The bus announces changes from now on, of keys that are armed from now on.
    virtual void on_watcher_up(command::bus_index bus) = 0;
    /// No key is watched any more.
    virtual void on_watcher_down(command::bus_index bus) = 0;
    virtual void on_armed(command::bus_index bus, std::string_view key) = 0;
    virtual void on_changed(command::bus_index bus, std::string_view key) = 0;
    /// All keys were dropped (FLUSHDB, FLUSHALL).
    virtual void on_all_changed(command::bus_index bus) = 0;
    /// Somebody changed groups or IDs of some keys, or may have.
    virtual void on_groups_changed(command::bus_index bus) = 0;
    /// Everything that the bus had announced when PING `number` reached it has been told by now.
    virtual void on_pong(command::bus_index bus, std::uint64_t number) = 0;

   protected:
    ~listener() = default;
  };

  /// Both outlive the watcher.
  watcher(const link_environment& environment, command::bus_index bus, listener& told);
  ~watcher();

  /// Connects, if it is not connected yet.
  void start(base::time_point now);
  /// Closes the connection; nothing is told.
  void stop(base::time_point now);
  bool started() const { return link_ != nullptr; }
  /// The bus has another login, or is another server: connects anew.
  void renew(base::time_point now) {
    if (link_) link_->socket.reconnect(now);
  }
  bool up() const { return up_; }
  /// The CLIENT ID of its connection while it is up, else 0.
  std::int64_t client_id() const { return up_ ? link_->socket.client_id() : 0; }
  /// True from when the bus left a PING unanswered until it accepts another connection.
  bool hung() const { return hung_; }
  /// The time of that PING, if hung().
  base::time_point hung_since() const { return ping_sent_; }

  /// Has the bus watch a key; on_armed() follows, unless the connection is lost. Only while up().
  void arm(std::string_view key, base::time_point now);

  /// Sends a PING behind everything that happened until now, and returns its number. Calls of one turn share
  /// a PING, and so do all calls that come while another one is out. Only while up().
  std::uint64_t confirm(base::time_point now);

  void flush(base::time_point now) {
    if (link_ && (!useless_.empty() || link_->requests.unsent_bytes() > 0)) flush_link(now);
  }
  void tick(base::time_point now);
  /// The state of its connection, if it has one.
  void observe(metrics::bus_metrics& out) const;

 private:
  enum part : std::uint32_t { tracking, exists, ping, stats };

  void on_connected() override;
  void on_disconnected() override;
  void on_push(std::string_view push) override;
  void on_reply(std::uint32_t part, const reply_view& reply) override;
  void on_failure(std::uint32_t part, failure why) override;
  bool abandoned() const override { return false; }

  void flush_link(base::time_point now);
  void send(part request, resp::arguments args, base::time_point now);
  void send_ping(base::time_point now);
  void ask_to_track(base::time_point now);
  void ask_for_stats(base::time_point now);
  void read_stats(const reply_view& reply);
  bool fits(std::uint32_t request, const reply_view& reply) const;

  metrics::bus_metrics unseen_;  // its requests are none of the clients'
  link_environment environment_;
  pipeline_settings requests_;
  config::backend_settings settings_;
  const link_environment& shared_;
  const command::bus_index bus_;
  listener& told_;
  std::unique_ptr<backend::link> link_;
  std::deque<std::string> arming_;  // in the order of their replies
  std::string last_stats_;
  base::time_point next_ping_{}, ping_sent_{}, next_stats_{};
  std::optional<base::time_point> next_try_;  // of CLIENT TRACKING after a refusal
  std::uint64_t pings_ = 0;                   // sent so far, over all connections
  bool up_ = false, pinging_ = false, again_ = false, refused_ = false, hung_ = false;
  std::string_view useless_;  // why the connection is to be given up
};

}  // namespace dualbus::backend
