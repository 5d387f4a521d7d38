#pragma once

#include <dualbus/backend/subscriber.hpp>
#include <dualbus/session/subscription_table.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace dualbus::session {

class session;
class worker_context;

/// Pub/Sub of one worker: asks every bus, over one connection each, for what any client is subscribed to, and
/// gives each message to the clients that it is for.
///
///   client ──SUBSCRIBE──> subscription_table ──first──> subscriber of every bus
///   client <──message──── subscription_table <─────────  push of any bus
///
/// The connections exist only while somebody is subscribed. When one comes back, everything is subscribed to
/// again; messages published there in between are lost, as Pub/Sub delivers at most once.
class subscription_hub final : private backend::subscriber::listener {
 public:
  using kind = backend::subscription;

  /// Waits for the buses to carry something out.
  class waiter {
   public:
    /// Something has changed at a bus. May forget() the waiter.
    virtual void on_progress() = 0;

   protected:
    ~waiter() = default;
  };

  explicit subscription_hub(worker_context& context);
  void add_bus(const backend::link_environment& environment);

  // --- for operations
  // ---------------------------------------------------------------------------------------

  /// See subscription_table; the buses are asked as it demands.
  void hold(kind k, std::string_view name);
  void release(kind k, std::string_view name);
  /// For a name that is held.
  void subscribe(session& client, kind k, std::string_view name);
  void unsubscribe(session& client, kind k, std::string_view name);
  const subscription_table& table() const { return table_; }

  /// How far each bus must be for what has been asked for until now.
  using targets = std::vector<std::uint64_t>;
  targets current_targets() const;
  bool reached(command::bus_index bus, std::uint64_t target) const;
  bool up(command::bus_index bus) const { return subscribers_[bus]->up(); }
  void await(waiter& w) { waiting_.push_back(&w); }
  void forget(waiter& w);

  // --- for sessions and the worker
  // ---------------------------------------------------------------------------

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

  worker_context& context_;
  subscription_table table_;
  std::vector<std::unique_ptr<backend::subscriber>> subscribers_;
  std::vector<waiter*> waiting_;
};

}  // namespace dualbus::session
