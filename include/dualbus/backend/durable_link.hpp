#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/backend/renewal.hpp>
#include <dualbus/backend/write_group.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace dualbus::backend {

/// A connection for writes that are answered when the bus's replicas, or its AOF, have them
/// (config::acknowledge_settings). WAIT blocks the connection that it is sent on, so nothing else goes over
/// this one, but for requests that must keep their order with these writes. One WAIT confirms a group of
/// them:
///
///   add, add … ─> gathering ──flush()──> XADD XADD … WAIT ──> answers, then WAIT's: all are told
///                     ^                        │ while it is out
///                     └── add, add … ──────────┘ the next group gathers, and goes when WAIT is answered
///
/// When the bus moves, a group that is out stays with the old place, which has all its writes; it is
/// confirmed there, and then that connection closes. The one that gathers goes to the new place.
///
/// A write that was answered by the bus and not confirmed in time ends in reply_sink::on_unconfirmed(). One
/// whose connection is lost before that ends as bus_lost: it may have run, and is never sent again.
class durable_link final : private pipeline_observer, private link_heir {
 public:
  /// `metrics` are those of the bus, `with.metrics` those of this connection. All outlive it.
  durable_link(const link_environment& with, metrics::bus_metrics& metrics, resp::protocol version,
               int database);
  ~durable_link();

  /// For accepts(), encoding and congestion; requests are announced by the two functions below.
  pipeline& requests() { return link_.requests; }
  const pipeline& requests() const { return link_.requests; }
  /// As pipeline::end(). `confirm`: the answer waits; else the request only keeps its place in the order.
  void end(reply_sink& sink, std::uint32_t part, bool confirm, base::time_point now) {
    gathering().add(link_.requests, sink, part, confirm, now);
    note_use(now);
  }
  /// As pipeline::end_block().
  void end_block(reply_sink& sink, std::uint32_t replies, bool confirm, base::time_point now) {
    gathering().add_block(link_.requests, sink, replies, confirm, now);
    note_use(now);
  }
  /// See pipeline::give_up().
  void give_up(reply_sink& sink, base::time_point now);

  bool serves(resp::protocol version, int database) const {
    return link_.version == version && link_.database == database;
  }
  /// For a relocation, which exchanges its connection.
  link& link_to_move() {
    renewal_.reset();
    return link_;
  }
  void start(base::time_point now) { link_.socket.start(now); }
  void stop(base::time_point now);
  bool delivered() const;
  /// The bus has another login, or is another server: goes over to a new connection between two groups.
  void renew(base::time_point now);
  /// Sends the group that has gathered, if no other one is out.
  void flush(base::time_point now);
  void tick(base::time_point now);
  /// True if nobody has used it since then, and nothing is under way.
  bool idle_since(base::time_point then) const {
    return last_used_ < then && link_.requests.idle() && !holds_answers() && left_.empty();
  }
  void observe(metrics::bus_metrics& out) const;

 private:
  void on_connected() override;
  void on_disconnected() override;
  void on_push(std::string_view) override {}
  bool takes_debts() const override;
  void take_connection(link& of, base::time_point now) override;

  /// A group that is confirmed at a place that the bus has left.
  struct left_group {
    explicit left_group(const link_environment& with, resp::protocol version, int database);
    bool over() const;

    metrics::bus_metrics unseen;
    const link_environment environment;
    std::unique_ptr<write_group> group;
    backend::link link;
  };
  void drop_left(base::time_point now);

  write_group& gathering() { return *groups_[(oldest_ + out_) % groups_.size()]; }
  // A reload that says that nothing waits any more does not concern the writes that are under way.
  void note_use(base::time_point now) {
    last_used_ = now;
    if (environment_.target.acknowledge.wanted()) wanted_ = environment_.target.acknowledge;
  }
  bool holds_answers() const;
  bool renewing(base::time_point now);

  const link_environment& environment_;
  metrics::bus_metrics& metrics_;
  link link_;
  std::vector<std::unique_ptr<write_group>> groups_;  // a ring: those out, then the one that gathers
  std::size_t oldest_ = 0, out_ = 0;
  std::vector<std::unique_ptr<left_group>> left_;
  std::unique_ptr<renewal> renewal_;
  config::acknowledge_settings wanted_;
  base::time_point last_used_{};
};

}  // namespace dualbus::backend
