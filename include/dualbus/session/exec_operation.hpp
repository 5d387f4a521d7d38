#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/resp/encoder.hpp>
#include <dualbus/session/operation.hpp>
#include <dualbus/session/timer_queue.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/container/small_vector.hpp>

namespace dualbus::session {

class local_operation;
class session;
class transaction;
class worker_context;

/// A request that the daemon answers itself, and the place of its reply in the client's queue.
struct postponed_request {
  local_operation* place;
  std::string bytes;
};

/// EXEC. Its own reply is only the array's header: the elements are the replies of the operations behind it
/// in the client's queue, which are those of the queued requests (see transaction_stage).
///
///   client's queue:  … | exec_operation | operation | operation | … | later requests
///   reply:             *2               +OK         $…                          …
///
/// The operations' bytes go to each bus as one block. One bus: MULTI, the requests and EXEC in one piece
/// on the shared connection, or on the one that watches. Several: on connections borrowed for it, MULTI and
/// the requests to all of them, and EXEC when every bus has queued everything. If one has not, none gets
/// EXEC. When keys are watched, their bus gets EXEC first, and the others only if it has carried out its
/// part. So does a transaction with a SELECT of another database: before MULTI its connections choose each
/// database once, and whoever cannot ends it.
/// A part that is only about whole keys (DEL, EXPIRE, TTL …) does nothing on a bus that does not have them.
/// So such buses are asked first, on the shared connections, and the parts of those without the keys are
/// answered here (see exec_survey.cpp); mostly one bus is left then. If links are lacking, it waits for its
/// turn. A request that the daemon answers itself is carried out when the buses have done their parts, or not
/// at all. Plain requests to one bus need not be played, and have no operations: the array comes back as it
/// is, or with the IDs translated. When nothing was carried out, the operations are silenced and the error is
/// EXEC's whole reply.
class exec_operation final : public operation {
 public:
  exec_operation(worker_context& context, session& owner, std::uint16_t command);
  ~exec_operation() override;

  /// Carries out the transaction, which the client has left; it has been put into the client's queue.
  void start(std::unique_ptr<transaction> what);

  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  void destroy() override;
  bool detach() override { return outstanding_ == 0 && !running_commands_; }

  /// Takes the links that it waits for, and goes on; false if they are still not there.
  bool retry();
  /// There will be none.
  void give_up_waiting();

  /// One bus's part.
  class block final : public backend::reply_sink {
   public:
    block(exec_operation& exec, command::bus_index bus);
    void on_reply(std::uint32_t part, const backend::reply_view& reply) override;
    void on_failure(std::uint32_t part, backend::failure why) override;
    bool abandoned() const override { return exec_.abandoned(); }
    std::uint64_t client() const override { return exec_.client(); }
    /// The connection on which everything was queued is still there.
    bool holds_all() const;
    enum class stage : std::uint8_t {
      idle,      // nothing is under way
      asking,    // whether the bus has the keys that its part is about
      queueing,  // MULTI and the requests are under way
      queued,    // the bus has queued them
      executing  // EXEC is under way
    };
    /// Databases are to be chosen on the link.
    bool selects() const { return elsewhere_ || !databases_.empty(); }
    /// How many replies come before that to EXEC.
    std::uint32_t before_exec() const { return static_cast<std::uint32_t>(databases_.size() + count_ + 1); }
    /// Has the bus answer in the client's protocol, which may be another one since WATCH.
    void speak(resp::protocol version, base::time_point now);

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
    std::vector<int> databases_;  // which the link is to choose before MULTI, to see that they are there
    bool elsewhere_ = false;      // the link is in another database than the client at EXEC
    bool only_whole_keys_ = false;
    bool absent_ = false;                           // the bus does not have the keys of its part, and answers
    std::vector<std::string_view> absent_replies_;  // this: constants
    bool watches_ = false;                          // the link watches keys
    bool reselects_ = false;                        // the link may be in another database than it says
    bool respeaks_ = false;                         // the link speaks another protocol than it says
  };

 private:
  struct block_deleter {
    base::object_pool<block>* pool;
    void operator()(block* b) const { pool->destroy(b); }
  };
  using block_pointer = std::unique_ptr<block, block_deleter>;

  block& add_block(command::bus_index bus);
  void begin();
  void start_plain(std::unique_ptr<transaction> what);
  /// Asks the buses whose parts may do nothing; false if there are none.
  bool survey();
  void surveyed(block& from, const backend::reply_view& reply);
  /// Reads which keys a part is about, and what a bus without them answers; false if that is not known.
  bool read_keys(block& part, std::vector<std::string>& keys) const;
  void end_survey();
  void answer_plain(std::string_view reply, base::duration bus_time);
  void write_plain(std::string_view reply, base::duration bus_time);
  void send_at_once(block& only, std::string_view plain = {});
  void send_to_queue();
  void queue_everywhere();
  void choose_databases(block& of, base::chunk_queue& out);
  bool borrow_links();
  void all_queued();
  void send_exec(block& to);
  /// The bus that watches has carried out its part: EXEC to the others.
  void decided();
  void executed(block& from, const backend::reply_view& reply);
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

  const resp::protocol version_;  // the client's
  boost::container::small_vector<block_pointer, 2> blocks_;
  std::vector<absent_request> absent_;  // of parts that do nothing, answered with the rest
  command::bus_index lacking_ = 0;      // the bus that has no link for it
  block* decider_ = nullptr;  // the part of the bus that watches, until it is known to be carried out
  std::vector<std::pair<command::bus_index, std::string>> added_;  // entries that somebody waits for
  std::unique_ptr<transaction> plain_;                             // until it is answered
  operation* last_ = nullptr;                                      // of the queued requests'
  std::vector<postponed_request> postponed_;                       // what the daemon itself has to do
  std::size_t count_ = 0, outstanding_ = 0;
  std::optional<timer_queue::id> timer_;
  bool executing_ = false;         // EXEC was sent
  bool running_commands_ = false;  // of the client, one of which may close it
  bool timed_out_ = false, waiting_ = false;
};

}  // namespace dualbus::session
