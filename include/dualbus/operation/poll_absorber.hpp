#pragma once

#include <dualbus/command/routing_table.hpp>
#include <dualbus/operation/parking_lot.hpp>
#include <dualbus/stream/empty_polls.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// A poll that will be answered without a bus.
class spared_poll {
 public:
  /// The buses have confirmed that they had announced everything, or cannot confirm it: look again.
  virtual void on_confirmed() = 0;
  /// Something has happened to another stream that the poll's consumer polls: do not wait.
  virtual void on_news() = 0;

 protected:
  ~spared_poll() = default;
};

/// Answers group reads from what stream::empty_polls knows, for one worker: with the times and the mode that
/// are configured, with the bus's confirmation if answers must be strict, and slowly to clients that spin.
class poll_absorber final : private parking_lot::listener {
 public:
  using poll = stream::empty_polls::poll;
  using view = stream::empty_polls::view;

  /// All outlive it. Hears the events of the parking lot's watchers from then on.
  poll_absorber(environment& environment, parking_lot& parking, const stream::key_changes& changes);

  bool on() const;
  bool strict() const;

  /// The knowledge about the key now; take it before a read of the key is sent. Makes the buses watch the key
  /// from then on, so that the next read can be spared: `only` one bus, if the key is pinned.
  view look(std::string_view key, command::bus_index only, bool in_order);
  /// The read to one bus is sent only now: for that bus, the view is from this moment.
  void see_again(view& seen, std::string_view key, command::bus_index bus,
                 const stream::parked_reads::sighting& there) const;

  stream::bus_set empty(const poll& p, const view& seen) const;
  bool no_group(const poll& p, const view& seen) const;
  void asked(const poll& p, command::bus_index bus);
  void reached_end(const poll& p, command::bus_index bus, const view& seen);
  void found_no_group(const poll& p, stream::bus_set buses, const view& seen);

  /// Strict answers: on_confirmed() follows, once, unless forget() comes before.
  void confirm(spared_poll& who, stream::bus_set buses);

  /// True if the client has polled all its streams and polls again at once, so that its answer may wait.
  bool is_spinning(session& client, const poll& p) const;
  /// The client gets an answer that no bus gave, now.
  void absorbed(session& client, const poll& p);
  /// on_news() may follow until forget(); `p` lives as long. If many polls are delayed, some are not told.
  void delay(spared_poll& who, const poll& p);
  void forget(spared_poll& who);

  // --- for the worker

  void settle();
  bool settled() const { return ready_.empty(); }
  void tick(base::time_point now);

 private:
  struct confirmation {
    spared_poll* who;
    std::vector<std::uint64_t> pings;  // by bus, the number awaited; 0: none
  };
  struct delayed_poll {
    spared_poll* who;
    std::string_view group, consumer;  // the poll's own
  };
  struct news {
    spared_poll* who;
    bool confirmed;
  };
  void on_changed(std::string_view key) override;
  void on_pong(command::bus_index bus, std::uint64_t number) override;
  void on_watcher_down(command::bus_index bus) override;
  stream::empty_polls::limits limits() const;
  void check_confirmations();

  environment& env_;
  parking_lot& parking_;
  const stream::key_changes& changes_;
  stream::empty_polls known_;
  std::vector<confirmation> confirmations_;
  std::vector<delayed_poll> delayed_;
  std::vector<news> ready_;
  base::time_point next_clean_up_{};
};

}  // namespace dualbus::operation
