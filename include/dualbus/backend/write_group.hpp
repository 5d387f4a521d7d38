#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::backend {

/// Writes on one connection that one WAIT or WAITAOF behind them confirms. The answer to each is held until
/// the bus has said how many replicas have it: WAIT counts for every write that came before it on its
/// connection (redis: replication.c, waitCommand; the client's woff), and for nothing else.
///
///   add, add … ──> close ──> WAIT n t ──> its answer: every answer that is held goes on, as it is or as
///      │                                   unconfirmed
///      └── answered by the bus: held, unless it is an error, or need not be confirmed
///
/// It appends to a pipeline and sees no socket. A write that fails, or whose connection is lost before WAIT
/// is answered, ends as a request in any pipeline does.
class write_group final : private reply_sink {
 public:
  /// `metrics` are those of the bus, and outlive the group.
  explicit write_group(metrics::bus_metrics& metrics);
  ~write_group();
  write_group(const write_group&) = delete;
  write_group& operator=(const write_group&) = delete;

  /// Announces what was encoded into `to` as a request: see pipeline::end(). `confirm`: its answer waits;
  /// otherwise the request is there for its order. Only while the group is open.
  /// The sink may end the group while it is told.
  void add(pipeline& to, reply_sink& sink, std::uint32_t part, bool confirm, base::time_point now);
  /// The same for a block, see pipeline::end_block(): its last answer waits.
  void add_block(pipeline& to, reply_sink& sink, std::uint32_t replies, bool confirm, base::time_point now);
  /// True if an answer waits, or may.
  bool wants_confirmation() const { return to_confirm_ > 0; }
  /// True if an answer waits that the bus has given.
  bool holds_answers() const { return !held_.empty(); }
  /// Asks the bus to confirm the writes so far.
  void close(pipeline& to, const config::acknowledge_settings& by, base::time_point now);
  /// True if the bus has answered all writes, and nothing is owed on the connection but its answer to WAIT.
  bool owed_only_confirmation(const pipeline& to) const {
    return closed_ && held_.size() == writes_.in_use() && to.owes_only(*this);
  }
  /// True until close(), and again when WAIT has been answered.
  bool open() const { return !closed_; }

  /// The connection is gone: the answers that are held will not be confirmed. For those whose WAIT had not
  /// been sent; a WAIT that was ends by itself.
  void lose_held();
  /// Ends the answers that are held for that sink as bus_timeout: see pipeline::give_up().
  void give_up(const reply_sink& sink);

 private:
  class write;
  class witness;

  void on_reply(std::uint32_t part, const reply_view& reply) override;
  void on_failure(std::uint32_t part, failure why) override;
  bool abandoned() const override { return false; }

  /// The reason for which the bus's answer confirms nothing; empty if it confirms.
  std::string doubt(std::string_view answer) const;
  void answered(write& by, std::uint32_t part, const reply_view& reply);
  void failed(write& by, std::uint32_t part, failure why);
  void forget(write& ended);
  void end_held(failure why);

  struct held_answer {
    write* of;
    std::size_t at, size;  // in bytes_
    char type;
    base::duration bus_time;
  };

  metrics::bus_metrics& metrics_;
  config::acknowledge_settings by_;  // of the WAIT under way
  base::object_pool<write> writes_;
  std::vector<held_answer> held_;
  std::string bytes_;  // of the answers that are held
  std::size_t to_confirm_ = 0;
  bool closed_ = false;
  witness* witness_ = nullptr;  // of the end of this group while sinks are told
};

}  // namespace dualbus::backend
