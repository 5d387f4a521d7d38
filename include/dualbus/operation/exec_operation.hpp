#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/backend/write_group.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/client/timer_queue.hpp>
#include <dualbus/operation/link_queue.hpp>
#include <dualbus/operation/parking_lot.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/operation/transaction.hpp>
#include <dualbus/operation/transaction_stage.hpp>
#include <dualbus/resp/encoder.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/container/small_vector.hpp>

namespace dualbus::operation {

struct exec_pools;

/// The parts of its worker that EXEC uses in addition.
struct exec_environment : environment {
  transaction_stage& stage;
  link_queue& links;
  parking_lot& parking;
  stream::key_changes& changes;  ///< of the daemon
  base::chunk_pool& request_chunks;
  exec_pools& pools;
};

/// EXEC. Its own reply is only the array's header: the elements are the replies of the operations behind it
/// in the client's queue, one for each queued request (see transaction_stage).
///
///   client's queue:  … | exec_operation | operation | operation | … | later requests
///   reply:             *2               +OK         $…                          …
///
/// The operations' bytes go to each bus as one block. One bus: MULTI, the requests and EXEC in one piece
/// on the shared connection, or on the one that watches. Several: on connections borrowed for it, MULTI and
/// the requests to all of them, and EXEC when every bus has queued everything. If one has not, none gets
/// EXEC. When keys are watched, their bus gets EXEC first, and the others only if it has carried out its
/// part. A transaction with a SELECT of another database borrows connections, too: before MULTI they choose
/// each database once, and a bus that cannot ends the transaction.
/// A part that is only about whole keys (DEL, EXPIRE, TTL …) does nothing on a bus that does not have them.
/// So such buses are asked first, on the shared connections, and the parts of those without the keys are
/// answered here (see exec_survey.cpp); mostly one bus is left then. If links are lacking, EXEC waits for its
/// turn. A request that the daemon answers itself is carried out when the buses have done their parts, or not
/// at all. Plain requests to one bus need not be played, and have no operations: the array comes back as it
/// is, or with the IDs translated. If nothing was carried out, the operations are muted and the error is
/// EXEC's whole reply.
/// If a part has a write that is to be confirmed (see durable_writes), EXEC's reply waits for that: the part
/// goes over the durable link of its bus, or with WAIT behind EXEC on its own connection. In a part that was
/// not confirmed, the reply to each such write is an error that says so.
class exec_operation final : public request_operation, private link_queue::waiter {
 public:
  exec_operation(exec_environment& environment, session& owner, routed_request& request);
  ~exec_operation() override;

  /// Carries out the transaction taken from the client. The operation stands in the client's queue already.
  void start(transaction_pointer queued);

  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  void destroy() override;
  bool detach() override { return outstanding_ == 0 && !running_commands_ && !waiting_; }
  bool may_be_overtaken(command::bus_index bus) const override;

  /// One bus's part.
  class block final : public backend::reply_sink {
   public:
    block(exec_operation& exec, command::bus_index bus);
    void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
    void on_failure(std::uint32_t part, backend::failure why) override;
    void on_answered(std::uint32_t part) override;
    void on_unconfirmed(std::uint32_t part, const backend::reply_view& reply, std::string_view why) override;
    bool abandoned() const override { return exec_.abandoned(); }
    std::uint64_t client() const override { return exec_.client(); }
    /// True if the connection on which everything was queued is still there.
    bool holds_all() const;
    enum class stage : std::uint8_t {
      idle,      // nothing is under way
      asking,    // whether the bus has the keys that its part is about
      queueing,  // MULTI and the requests are under way
      queued,    // the bus has queued them
      executing  // EXEC is under way
    };
    /// True if databases are to be chosen on the link.
    bool selects() const { return elsewhere_ || !databases_.empty(); }
    /// The number of replies that come before the reply to EXEC.
    std::uint32_t before_exec() const { return static_cast<std::uint32_t>(databases_.size() + count_ + 1); }
    /// Makes the bus answer in the client's protocol, which may have changed since WATCH.
    void speak(resp::protocol version, base::time_point now);
    /// False if there is no memory for it; then nothing of it is left.
    bool encode_exec();

    exec_operation& exec_;
    const command::bus_index bus_;
    backend::link* link_ = nullptr;  // borrowed; null on the shared connection and once given back
    stage stage_ = stage::idle;
    std::uint64_t connection_ = 0;                        // the link's, on which everything was queued
    base::chunk_queue bytes_;                             // until they are sent
    std::size_t count_ = 0;                               // of requests
    std::vector<backend::pipeline::collected> requests_;  // none if they are plain
    std::string problem_;                                 // the first error before EXEC, as an error's text
    bool answered_ = false;
    std::vector<int> databases_;  // for the link to choose before MULTI, to see that they are there
    bool elsewhere_ = false;      // the link is in another database than the client at EXEC
    bool only_whole_keys_ = false;
    bool absent_ = false;                           // the bus does not have the keys of its part:
    std::vector<std::string_view> absent_replies_;  // the replies then, constants
    bool watches_ = false;                          // the link watches keys
    bool reselects_ = false;                        // the link may be in another database than noted
    bool respeaks_ = false;                         // the link speaks another protocol than noted
    bool confirm_ = false;                          // it has a write that is to be confirmed
    bool on_durable_link_ = false;                  // and the bus has not answered it there
    std::unique_ptr<backend::write_group> writes_;  // EXEC and its WAIT, on a borrowed link
  };

 private:
  struct block_deleter {
    base::object_pool<block>* pool;
    void operator()(block* b) const { pool->destroy(b); }
  };
  using block_pointer = std::unique_ptr<block, block_deleter>;

  bool retry() override;
  void give_up_waiting() override;
  block& add_block(command::bus_index bus);
  /// Plays the transaction, and takes its parts. `lost`: a watched key may have changed.
  void collect(transaction& queued, bool lost);
  void end_without_memory();
  void begin();
  void start_plain(transaction_pointer queued);
  struct question {
    block* part;
    std::vector<std::string> keys;
  };
  /// The buses whose parts may do nothing, and what they are to be asked.
  std::vector<question> survey();
  void ask(const std::vector<question>& questions);
  void surveyed(block& from, const backend::reply_view& reply);
  /// Reads the keys of a part, and the replies of a bus without them; false if these are not known.
  bool read_keys(block& part, std::vector<std::string>& keys) const;
  void end_survey();
  void answer_plain(const backend::reply_view& reply, std::string_view doubt);
  void write_plain(const backend::reply_view& reply, std::string_view doubt);
  void send_at_once(block& only, std::string_view plain = {});
  void send_to_queue();
  void queue_everywhere();
  void choose_databases(block& of, base::chunk_queue& out);
  bool borrow_links();
  void all_queued();
  void announce_exec(block& to);
  backend::write_group& writes_of(block& part);
  bool confirms_all(command::bus_index bus) const;
  /// The bus that watches has carried out its part: sends EXEC to the others.
  void decided();
  /// `doubt`: why the bus has not confirmed the part; empty if it has, or need not.
  void executed(block& from, const backend::reply_view& reply, std::string_view doubt = {});
  void failed(block& at, backend::failure why);
  /// Nothing was carried out: `reply` is EXEC's.
  void abort(std::string_view reply, metrics::outcome outcome);
  void abort_with(std::string_view error, metrics::outcome outcome);
  void conclude();
  void run_postponed();
  void give_back(block& of, bool answered);
  void set_deadline();
  void stop_clock();
  void tell_added(command::bus_index bus);

  struct absent_request {
    backend::pipeline::collected request;
    std::string_view reply;  // a constant
  };

  exec_environment& exec_;
  const resp::protocol version_;  // the client's
  boost::container::small_vector<block_pointer, 2> blocks_;
  std::vector<absent_request> absent_;  // in parts that do nothing; answered with the rest
  command::bus_index lacking_ = 0;      // the bus that has no link left
  block* decider_ = nullptr;  // the part of the bus that watches, until it is known to be carried out
  std::vector<std::pair<command::bus_index, std::string>> added_;  // entries that somebody waits for
  transaction_pointer plain_;                                      // until it is answered
  client::running_request* last_ = nullptr;                        // the last of the queued requests
  std::vector<postponed_request> postponed_;                       // the daemon answers these itself
  std::size_t count_ = 0, outstanding_ = 0;
  std::optional<client::timer_queue::id> timer_;
  bool executing_ = false;         // EXEC was sent
  bool running_commands_ = false;  // of the client; one of them may close it
  bool timed_out_ = false, waiting_ = false;
  bool durably_ = false;  // the one part goes over a durable link
};

/// The memory of one worker's transactions under way.
struct exec_pools {
  base::object_pool<exec_operation> operations;
  base::object_pool<exec_operation::block> blocks;
};

}  // namespace dualbus::operation
