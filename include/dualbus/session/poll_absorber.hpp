#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/stream/empty_polls.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace dualbus::session {

class session;
class worker_context;

/// A poll that is answered without a bus, but not yet.
class spared_poll {
 public:
  /// The buses have confirmed that they had announced everything, or cannot: time to look again.
  virtual void on_confirmed() = 0;
  /// Something has happened to another stream that its consumer polls: there is no point in waiting.
  virtual void on_news() = 0;

 protected:
  ~spared_poll() = default;
};

/// Answers group reads from what stream::empty_polls knows, for one worker: with the times and the mode that
/// are configured, with the bus's confirmation if it must be strict, and slowly to clients that spin.
class poll_absorber {
 public:
  using poll = stream::empty_polls::poll;
  using view = stream::empty_polls::view;

  explicit poll_absorber(worker_context& context);

  bool on() const;
  bool strict() const;

  /// What is known of the key now; to be taken before a read of it is sent. Has the buses watch the key from
  /// then on, so that the read's successor can be spared: `only` one of them, if the key is pinned.
  view look(std::string_view key, command::bus_index only);

  stream::bus_set empty(const poll& p, const view& seen) const;
  bool no_group(const poll& p, const view& seen) const;
  void asked(const poll& p, command::bus_index bus);
  void reached_end(const poll& p, command::bus_index bus, const view& seen);
  void found_no_group(const poll& p, stream::bus_set buses, const view& seen);

  /// Strict answers: on_confirmed() follows, once, unless forget() comes before.
  void confirm(spared_poll& who, stream::bus_set buses);

  /// True if the client has asked all that it asks and asks again at once, so that its answer may wait.
  bool is_spinning(session& client, const poll& p) const;
  /// The client gets an answer that no bus gave, now.
  void absorbed(session& client, const poll& p);
  /// on_news() may follow until forget(); `p` lives as long. Of many that are delayed some are not told.
  void delay(spared_poll& who, const poll& p);
  void forget(spared_poll& who);

  // --- for the parking lot, which has the watchers
  // -----------------------------------------------------------------

  void on_changed(std::string_view key);
  void on_pong(command::bus_index bus, std::uint64_t number);
  void on_watcher_down(command::bus_index bus);

  // --- for the worker
  // ------------------------------------------------------------------------------------------

  void settle();
  bool settled() const { return ready_.empty(); }
  void tick(base::time_point now);

 private:
  struct confirmation {
    spared_poll* who;
    std::vector<std::uint64_t> pings;  // by bus, the number that is waited for; 0: none
  };
  struct delayed_poll {
    spared_poll* who;
    std::string_view group, consumer;  // its own
  };
  struct news {
    spared_poll* who;
    bool confirmed;
  };
  stream::empty_polls::limits limits() const;
  void check_confirmations();

  worker_context& context_;
  stream::empty_polls known_;
  std::vector<confirmation> confirmations_;
  std::vector<delayed_poll> delayed_;
  std::vector<news> ready_;
  base::time_point next_clean_up_{};
};

}  // namespace dualbus::session
