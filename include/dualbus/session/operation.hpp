#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/base/chunk_queue.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/metrics/worker_metrics.hpp>
#include <dualbus/stream/key_changes.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {

class session;
class worker_context;

/// One request of a client, from when it was parsed until its reply stands in the client's output. It waits
/// in its session's queue, where replies keep the order of the requests. When the client goes away first, the
/// operation lives on without an owner until the last reply that it is owed has come.
class operation : public backend::reply_sink {
 public:
  /// Takes over worker_context::changing.
  operation(worker_context& context, session& owner, std::uint16_t command);
  virtual ~operation() = default;
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  bool abandoned() const final { return owner_ == nullptr; }
  std::uint64_t client() const final;

  /// Frees the operation, where it came from.
  virtual void destroy() = 0;
  /// The client is gone. True if nothing is owed to the operation any more, so that it may be destroyed.
  virtual bool detach() = 0;
  /// CLIENT UNBLOCK: ends a wait now, with an error if `with_error`. False if it does not wait.
  virtual bool unblock(bool with_error) {
    (void)with_error;
    return false;
  }
  /// The client that waits goes, or is sent away. True if the bus is told first, since it may have given the
  /// client something already: either that is answered, or session::drop_wait() called. False: there is
  /// nothing that could be lost.
  virtual bool give_up_wait() { return false; }
  /// True once its bus has what it waits for: whatever is sent from now on comes later there. False keeps the
  /// client from being shown as blocked.
  virtual bool waits() const { return true; }
  /// For a state that may outlast a change of what its client may do: the request that it would take to get
  /// there, for whoever judges it anew. Empty: it ends by itself.
  virtual std::vector<std::string> lasting_request() const { return {}; }
  /// Ends that state with an error, unless it has brought something already: that is answered. False if it
  /// cannot end now; the operation has the session review it once it can.
  virtual bool refuse_wait(std::string_view error) {
    (void)error;
    return false;
  }
  /// True if it waits on a bus that has its keys no more, since a reload.
  virtual bool misplaced() const { return false; }
  /// True while it is on its way to take something from a bus that would be lost with the client.
  virtual bool taking() const { return false; }

 protected:
  /// The queue for the reply, which is encoded whole; then finish(). Only while there is an owner.
  base::chunk_queue& reply();
  /// The reply is complete. Destroys the operation, now or when its turn has come.
  void finish(metrics::outcome outcome);
  base::time_point arrived() const { return arrived_; }
  /// Replies before this one need not be written before it comes, which is soon: one write will do.
  void hold_output_back() { holds_output_back_ = true; }

  worker_context& context_;
  session* owner_;
  const std::uint8_t database_;  // the client's, when the request came

 private:
  friend class session;

  base::chunk_queue stash_;  // the reply, while others come before it
  stream::key_change change_;
  std::unique_ptr<std::vector<std::string>> arguments_;  // for SLOWLOG, if it keeps them
  operation* next_ = nullptr;
  base::time_point arrived_;
  std::size_t kept_bytes_ = 0;  // see session::note_kept()
  std::uint16_t command_;
  bool done_ = false;
  bool holds_output_back_ = false;
  bool holds_pushes_ = false;  // see session::hold_pushes_behind_newest()
  bool deferred_ = false;      // see session::defer()
  bool muted_;                 // CLIENT REPLY OFF or SKIP
};

/// A request that goes to one bus and whose reply comes back as it is, or with its entry ID translated. This
/// is the hot path: pooled, one part, one copy.
class forward_operation final : public operation {
 public:
  /// The kind of messages that the reply tells of, to be counted for the client's engine.
  enum class messages : std::uint8_t { none, published, consumed };

  forward_operation(worker_context& context, session& owner, std::uint16_t command, command::bus_index bus,
                    bool translate_id, messages counted)
      : operation(context, owner, command), bus_(bus), translate_id_(translate_id), counted_(counted) {}

  void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
  void on_failure(std::uint32_t part, backend::failure why) override;
  bool needs_reply() const override { return owner_ != nullptr; }
  void destroy() override;
  bool detach() override { return false; }

 private:
  void count_messages(const backend::reply_view& answer) const;

  command::bus_index bus_;
  bool translate_id_;
  messages counted_;
};

/// A reply of the daemon's own that has to wait for those before it.
class local_operation final : public operation {
 public:
  using operation::operation;

  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  void destroy() override;
  bool detach() override { return true; }
};

/// Appends what a bus answered to XADD, with the ID in the client's form, and says how the request ended.
/// Errors and nil are passed on. If the ID has no form for clients the answer is an error, which says that
/// the entry is stored: any ID would be another entry's.
metrics::outcome append_added(worker_context& context, command::bus_index bus, std::string_view answer,
                              base::chunk_queue& out);

/// The error reply for a request without an answer, without '-', and how it counts.
std::string failure_text(const worker_context& context, command::bus_index bus, backend::failure why);
/// The same for replies that are RESP, but none that Redis gives to the request.
std::string nonsense_text(std::string_view who);
metrics::outcome outcome_of(backend::failure why);

}  // namespace dualbus::session
