#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/exec_operation.hpp>
#include <dualbus/session/transaction.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::session {

class session;
class worker_context;

/// For replies that nobody needs.
backend::reply_sink& nobody();
/// Appends a SELECT of the client's `database`, as that bus counts.
void append_select(worker_context& context, command::bus_index bus, int database, base::chunk_queue& out);

/// Carries out the requests of a transaction as if they were sent one by one, and keeps everything that they
/// send here, by bus. So it is known, before anything goes out, which buses have a part in it. One per
/// worker.
class transaction_stage {
 public:
  explicit transaction_stage(worker_context& context);
  ~transaction_stage();

  /// True while a request of a transaction is being carried out: it has one round, and nothing waits.
  bool playing() const { return playing_; }
  /// Carries out what is queued; each request puts its operation into the client's queue, or answers there.
  void play(session& client, const transaction& what);
  void drop_unannounced();
  /// A request that the daemon answers itself is carried out only once EXEC has succeeded; until then its
  /// reply has a place in the client's queue.
  void postpone(session& client, const command::command_spec& spec, const request& what);
  /// An XADD that somebody waits for was sent; its key is one of the present transaction.
  void note_added(command::bus_index bus, std::string_view key) { added_.push_back({bus, key}); }

  // --- after play()
  // ------------------------------------------------------------------------------------------

  struct added_entry {
    command::bus_index bus;
    std::string_view key;  // in the transaction
  };
  const std::vector<added_entry>& added() const { return added_; }
  bool has(command::bus_index bus) const { return buses_[bus]->held.waiting() > 0; }
  /// True if all that goes to the bus is about whole keys: DEL, EXPIRE, TTL and their kin.
  bool only_whole_keys(command::bus_index bus) const { return buses_[bus]->only_whole_keys; }
  /// Databases other than the client's at the beginning which requests for the bus choose, as clients count.
  const std::vector<int>& databases(command::bus_index bus) const { return buses_[bus]->chosen; }
  /// Moves what goes to the bus: bytes to the end of `bytes`, and who waits for the replies.
  void take(command::bus_index bus, base::chunk_queue& bytes,
            std::vector<backend::pipeline::collected>& requests) {
    buses_[bus]->held.take(bytes, requests);
  }

  std::vector<postponed_request> take_postponed() { return std::exchange(postponed_, {}); }
  /// Carries out what was postponed. The client may be closed then.
  void carry_out_postponed(session& client, const postponed_request& what);

  // --- transactions for which there are not enough links
  // -------------------------------------------------------------------------

  /// Has it try again when links may have been given back, in the order in which they come.
  void await_links(exec_operation& what) { waiting_.push_back(&what); }
  bool anybody_waits() const { return !waiting_.empty(); }
  void forget(exec_operation& what) { std::erase(waiting_, &what); }
  /// Once per turn, before the buses write.
  void settle();
  /// Ends those that wait: the worker ends.
  void stop();

  // --- kept for the next one
  // -------------------------------------------------------------------------------------

  std::unique_ptr<transaction> take_transaction();
  void give_transaction(std::unique_ptr<transaction> spare);
  base::object_pool<exec_operation> operations;
  base::object_pool<exec_operation::block> blocks;

 private:
  // One bus's requests that are kept, with a SELECT before those that are in another database.
  struct held_requests final : backend::diversion {
    held_requests(worker_context& context, const backend::pipeline_settings& settings,
                  command::bus_index bus);
    void begin(int in_database);
    backend::pipeline& requests(int in_database) override;

    worker_context& context;
    const command::bus_index bus;
    backend::pipeline held;
    std::vector<int> chosen;
    int first = 0, database = 0;
    bool only_whole_keys = true;
  };

  request parse_next(std::string_view queued);
  void play(session& client, const request& what);

  worker_context& context_;
  backend::pipeline_settings settings_;
  std::vector<std::unique_ptr<held_requests>> buses_;
  std::vector<added_entry> added_;
  std::vector<postponed_request> postponed_;
  std::vector<exec_operation*> waiting_;
  std::vector<std::size_t> counts_;  // of requests by bus, before one is played
  std::vector<std::unique_ptr<transaction>> spares_;
  resp::request_parser parser_;
  bool playing_ = false;
};

}  // namespace dualbus::session
