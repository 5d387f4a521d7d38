#pragma once

#include <dualbus/client/departures.hpp>
#include <dualbus/operation/subscription_hub.hpp>
#include <dualbus/stream/empty_polls.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace dualbus::operation {

/// Lets subscribers go to another process so that each message reaches them once. Both processes are
/// subscribed to everything, and each bus sends both the same messages in the same order. So a *marker*, a
/// message on a shard channel of their own, which no pattern matches, means the same place to both: this
/// process delivers all that comes before it, the other one all that comes behind it (subscription_arrival).
///
///   bus ── m1 ── m2 ── MARKER ── m3 ──> this process: m1 m2        then the subscriber departs
///     └─── m1 ── m2 ── MARKER ── m3 ──> the other one:       m3    once it has arrived
///
/// Subscribers leave in rounds: those that are owed nothing now, behind one marker. If a marker does not come
/// soon (the bus is away, or its user may not publish), they go without: a message of that moment may be lost
/// or come twice.
class subscription_departure final : public client::departure_gate,
                                     private subscription_hub::tap,
                                     private backend::reply_sink {
 public:
  using kind = backend::subscription;
  /// All outlive it.
  subscription_departure(environment& environment, subscription_hub& hub) : env_(environment), hub_(hub) {}

  /// The channel of the markers; `worker`: the number of this one. From then on subscribers can depart.
  void begin(std::string channel, std::uint32_t worker);
  /// The requests by which another process hears all that clients of this worker hear.
  std::vector<std::vector<std::string>> all_names() const;
  /// The hand-over is called off: all go on to get their messages from here.
  void end();

  verdict may_depart(const client::session& subscriber) override;
  void forget(std::uint64_t subscriber) override;
  void end_of_take() override;
  std::uint64_t round() const override { return round_; }

 private:
  bool on_message(command::bus_index bus, kind k, std::string_view name, std::string_view push) override;
  bool withholds(command::bus_index bus, std::uint64_t client) const override;
  void on_arrival(session&, std::uint64_t) override {}
  // The answers to SPUBLISH: a marker that is on its way says so itself.
  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure) override;
  bool abandoned() const override { return false; }

  void begin_round();
  bool is_open() const { return cut_ == awaited_ || env_.turn.now >= give_up_at_; }

  environment& env_;
  subscription_hub& hub_;
  std::string channel_;
  std::uint32_t worker_ = 0, rounds_ = 0;
  std::uint64_t round_ = 0;  // as markers and states name it; 0: none yet
  std::unordered_set<std::uint64_t> gathering_, leaving_;
  stream::bus_set cut_ = 0, awaited_ = 0;  // buses whose marker has come, or is to come
  bool refused_ = false;                   // a bus does not take this round's marker
  // Behind these a bus sends the markers. What is subscribed or left later, as clients depart, does not
  // matter.
  subscription_hub::targets targets_;
  std::size_t unmarked_ = 0;  // subscribers that went without
  base::time_point give_up_at_{};
};

}  // namespace dualbus::operation
