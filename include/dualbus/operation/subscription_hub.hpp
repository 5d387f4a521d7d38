#pragma once

#include <dualbus/backend/subscriber.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/operation/subscription_registry.hpp>
#include <dualbus/operation/subscription_table.hpp>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// Pub/Sub of one worker: subscribes, over one connection to every bus, to everything that any client is
/// subscribed to, and gives each message to its subscribers.
///
///   client ──SUBSCRIBE──> subscription_table ──first──> subscriber of every bus
///   client <──message──── subscription_table <─────────  push of any bus
///
/// The connections exist only while somebody is subscribed. When a lost one comes back, everything is
/// subscribed to again; messages published there meanwhile are lost, as Pub/Sub delivers at most once.
class subscription_hub final : private backend::subscriber::listener {
 public:
  using kind = backend::subscription;

  /// Waits for the buses to carry something out.
  class waiter {
   public:
    /// Something has changed at a bus. The waiter may forget() itself here.
    virtual void on_progress() = 0;

   protected:
    ~waiter() = default;
  };

  /// Sees every message before the clients: for clients that go to another process, or come from one.
  class tap {
   public:
    /// True if no client is to get it.
    virtual bool on_message(command::bus_index bus, kind k, std::string_view name, std::string_view push) = 0;
    /// The client does not get the messages of that bus any more.
    virtual bool withholds(command::bus_index bus, std::uint64_t client) const = 0;
    /// The client has come from another process with its subscriptions; see session_state::round.
    virtual void on_arrival(session& client, std::uint64_t round) = 0;

   protected:
    ~tap() = default;
  };

  /// All outlive it; `registry` is the daemon's.
  subscription_hub(environment& environment, subscription_registry& registry,
                   const client::session_owner& clients);
  void add_bus(const backend::link_environment& environment);

  // --- for operations

  /// See subscription_table; the buses are asked as it demands.
  void hold(kind k, std::string_view name);
  void release(kind k, std::string_view name);
  /// For a name that is held.
  void subscribe(session& client, kind k, std::string_view name);
  void unsubscribe(session& client, kind k, std::string_view name);
  const subscription_table& table() const { return table_; }

  /// The progress that each bus must reach for all that has been asked for until now.
  using targets = std::vector<std::uint64_t>;
  targets current_targets() const;
  bool reached(command::bus_index bus, std::uint64_t target) const;
  bool up(command::bus_index bus) const { return subscribers_[bus]->up(); }
  void await(waiter& w) { waiting_.push_back(&w); }
  void forget(waiter& w);
  /// Null for none; it outlives the hub, or is taken away.
  void set_tap(tap* whom) { tap_ = whom; }
  tap* current_tap() const { return tap_; }

  // --- for clients and the worker

  /// Ends all subscriptions of a client.
  void leave(session& client);
  void flush(base::time_point now);
  void tick(base::time_point now);
  void stop(base::time_point now);
  void renew(command::bus_index bus, bool other_server, base::time_point now) {
    subscribers_[bus]->renew(other_server, now);
  }
  void observe(command::bus_index bus, metrics::bus_metrics& out) const { subscribers_[bus]->observe(out); }

 private:
  void on_subscriber_up(command::bus_index bus) override;
  void on_subscriber_down(command::bus_index bus) override;
  void on_message(command::bus_index bus, kind k, std::string_view name, std::string_view push) override;
  void on_confirmed(command::bus_index bus) override;
  void ask(kind k, std::string_view name);
  void ask_no_more(kind k, std::string_view name);
  void progress();

  void note_count(session& client) const;

  environment& env_;
  subscription_registry& registry_;
  const client::session_owner& clients_;
  subscription_table table_;
  std::vector<std::unique_ptr<backend::subscriber>> subscribers_;
  std::vector<waiter*> waiting_;
  tap* tap_ = nullptr;
};

}  // namespace dualbus::operation
