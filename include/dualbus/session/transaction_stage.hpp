#pragma once

#include <dualbus/backend/pipeline.hpp>
#include <dualbus/base/object_pool.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/session/exec_operation.hpp>
#include <dualbus/session/transaction.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace dualbus::session {

class session;
class worker_context;

/// Where the requests of a transaction are carried out as if they were sent one by one, while everything that
/// they send is kept here, by bus. So it is known, before anything goes out, which buses have a part in it.
/// One per worker.
class transaction_stage {
 public:
  explicit transaction_stage(worker_context& context);
  ~transaction_stage();

  /// True while a request of a transaction is being carried out: it has one round, and nothing waits.
  bool playing() const { return playing_; }
  /// Carries out what is queued; each request puts its operation into the client's queue, or answers there.
  void play(session& client, const transaction& what);
  /// An XADD that somebody waits for was sent; its key is one of the present transaction.
  void note_added(command::bus_index bus, std::string_view key) { added_.push_back({bus, key}); }

  // --- after play()
  // ------------------------------------------------------------------------------------------

  struct added_entry {
    command::bus_index bus;
    std::string_view key;  // in the transaction
  };
  const std::vector<added_entry>& added() const { return added_; }
  bool has(command::bus_index bus) const { return buses_[bus]->waiting() > 0; }
  /// Moves what goes to the bus: bytes to the end of `bytes`, and who waits for the replies.
  void take(command::bus_index bus, base::chunk_queue& bytes,
            std::vector<backend::pipeline::collected>& requests) {
    buses_[bus]->take(bytes, requests);
  }

  // --- kept for the next one
  // -------------------------------------------------------------------------------------

  std::unique_ptr<transaction> take_transaction();
  void give_transaction(std::unique_ptr<transaction> spare);
  base::object_pool<exec_operation> operations;

 private:
  worker_context& context_;
  backend::pipeline_settings settings_;
  std::vector<std::unique_ptr<backend::pipeline>> buses_;
  std::vector<added_entry> added_;
  std::vector<std::unique_ptr<transaction>> spares_;
  resp::request_parser parser_;
  bool playing_ = false;
};

}  // namespace dualbus::session
