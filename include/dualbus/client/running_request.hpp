#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/client/reply_queue.hpp>
#include <dualbus/client/request.hpp>
#include <dualbus/client/session_state.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/metrics/worker_metrics.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::client {

/// A request that waits, for another process: the same request with the time that it has left.
struct packed_wait {
  std::vector<std::string> words;
  std::vector<read_cursor> cursors;
};

/// One request of a client, from its parsing until its reply stands in the client's output. It waits in its
/// session's queue, where replies keep the order of the requests. If the client goes away first, the request
/// lives on without an owner until the last reply that buses owe it has come.
class running_request : public owed_reply {
 public:
  running_request(session& owner, const request& request);  // in session.hpp
  virtual ~running_request() = default;

  /// Gives the request back to the pool that it came from.
  virtual void destroy() = 0;
  /// The client is gone. True if nothing is owed to the request any more, so that it may be destroyed.
  virtual bool detach() = 0;
  /// CLIENT UNBLOCK: ends a wait now, with an error if `with_error`. False if the request does not wait.
  virtual bool unblock(bool with_error) {
    (void)with_error;
    return false;
  }
  /// The client that waits goes, or is sent away. True if the bus is told first, since it may have given the
  /// client something already: then the request is answered with that, or calls session::drop_wait(). False:
  /// nothing could be lost.
  virtual bool give_up_wait() { return false; }
  /// True once its bus has the request: everything sent from now on comes later there. False keeps the client
  /// from being shown as blocked.
  virtual bool waits() const { return true; }
  /// For a state that may outlast a change of its client's rights: the request that leads to that state, to
  /// be judged anew. Empty: the state ends by itself.
  virtual std::vector<std::string> lasting_request() const { return {}; }
  /// Ends that state with an error, unless it has brought something already, which is the answer then. False
  /// if it cannot end now; the request calls session::review_wait() once it can.
  virtual bool refuse_wait(std::string_view error) {
    (void)error;
    return false;
  }
  /// True if it waits on a bus that, since a reload, does not have its keys any more.
  virtual bool misplaced() const { return false; }
  /// That bus has left its place in a planned move. A request that waits at the old place begins anew at the
  /// new one, once the old one has confirmed that it was not answered there.
  virtual void follow(command::bus_index bus) { (void)bus; }
  /// True if a request sent to that bus now, over a connection for durable writes, might be carried out
  /// before this one: see bus_order. Asked until its reply is complete.
  virtual bool may_be_overtaken(command::bus_index bus) const {
    (void)bus;
    return true;
  }
  /// The client is to go to another process. True if the request waits, and can begin anew there: then `out`
  /// says how, and nothing is taken for the client any more. False if it cannot, or not yet: it may have to
  /// ask its bus first. Asked again and again, until it is true, answered, or the client stays.
  virtual bool pack_wait(packed_wait& out) {
    (void)out;
    return false;
  }
  /// The client stays after all: a wait that was called off for pack_wait() begins anew.
  virtual void unpack_wait() {}
  /// True while it is on its way to take something from a bus that would be lost with the client.
  virtual bool taking() const { return false; }

 protected:
  /// The queue for the reply, which is encoded whole; then finish(). Only while there is an owner.
  base::chunk_queue& reply();
  /// The reply is complete. Destroys the request, now or when the replies before it are complete.
  void finish(metrics::outcome outcome);
  base::time_point arrived() const { return arrived_; }

  session* owner_;

 private:
  friend class session;

  void keep_arguments(resp::arguments args);

  std::unique_ptr<std::vector<std::string>> arguments_;  // for SLOWLOG, if it keeps arguments
  base::time_point arrived_;
  std::uint16_t command_;
};

/// A reply of the daemon's own that has to wait for those before it.
class local_reply final : public running_request {
 public:
  local_reply(base::object_pool<local_reply>& pool, session& owner, const request& request)
      : running_request(owner, request), pool_(pool) {}

  void destroy() override { pool_.destroy(this); }
  bool detach() override { return true; }

 private:
  base::object_pool<local_reply>& pool_;
};

/// The transaction that a client has begun with MULTI or WATCH and has not ended.
class open_transaction {
 public:
  /// The bytes that the queue takes.
  virtual std::size_t bytes() const = 0;
  virtual std::size_t count() const = 0;
  /// EXEC will be refused.
  virtual void spoil() = 0;
  /// The watched keys count as changed.
  virtual void lose_watch() = 0;
  /// That bus has left its place in a planned move: keys that are watched there count as changed.
  virtual void follow(command::bus_index bus) = 0;
  /// It holds a connection that watches keys.
  virtual bool watches() const = 0;
  /// The queue, for another process; `watch_lost`: watched keys may have changed.
  struct packed {
    std::string_view requests;  ///< as RESP; until the next change
    bool spoiled, watch_lost;
  };
  virtual packed pack() const = 0;
  /// Gives it back to the pool that it came from; nothing is watched any more.
  virtual void destroy() = 0;

  struct deleter {
    void operator()(open_transaction* begun) const { begun->destroy(); }
  };
  using pointer = std::unique_ptr<open_transaction, deleter>;

 protected:
  ~open_transaction() = default;
};

}  // namespace dualbus::client
