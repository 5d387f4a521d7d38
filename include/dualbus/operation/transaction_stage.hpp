#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/backend/pipeline.hpp>
#include <dualbus/client/access_control.hpp>
#include <dualbus/operation/outlet.hpp>
#include <dualbus/operation/transaction.hpp>
#include <dualbus/resp/request_parser.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::operation {

/// The rights that the queued requests of a transaction need, one after the other at EXEC.
struct exec_rights {
  const client::user* who;  ///< a log-in among the requests changes it for later ones
  bool asks;                ///< rights must be checked: users have changed since MULTI, or `who` has
};

/// Carries out the requests of transactions.
class queued_request_handler {
 public:
  /// Carries out a queued request: its commands go to `stage`. It has an answer in any case.
  virtual void carry_out_queued(session& client, const client::request& request, exec_rights& rights,
                                outlet& stage) = 0;
  /// Carries out a postponed request, which the daemon answers itself; the client may be closed then.
  virtual void carry_out_postponed(session& client, const client::request& request, outlet& stage) = 0;

 protected:
  ~queued_request_handler() = default;
};

/// A request that the daemon answers itself, and the place of its reply in the client's queue.
struct postponed_request {
  client::local_reply* place;
  std::string bytes;
};

/// Carries out the requests of a transaction as if they were sent one by one, and keeps everything that they
/// send here, by bus. So the buses that have a part are known before anything goes out. One per worker.
class transaction_stage final : public outlet {
 public:
  /// All outlive it, and so does the handler. `chunks`: for requests.
  transaction_stage(environment& environment, base::chunk_pool& chunks);
  ~transaction_stage();
  /// Call before there are transactions.
  void set_handler(queued_request_handler& handler) { handler_ = &handler; }

  // --- while a request of a transaction is being carried out

  backend::pipeline& requests(command::bus_index bus, resp::protocol version, int database) override;
  bool staged() const override { return true; }
  void note_added(command::bus_index bus, std::string_view key) override { added_.push_back({bus, key}); }
  void note_durable(command::bus_index bus) override { buses_[bus]->durable = true; }
  void drop_unannounced() override;
  /// A request that the daemon answers itself is carried out only once EXEC has succeeded; until then its
  /// reply has a place in the client's queue.
  void postpone(session& client, const client::request& request);

  /// Carries out the queue; each request puts its operation into the client's queue, or answers there.
  void play(session& client, const transaction& queued);

  // --- after play()

  struct added_entry {
    command::bus_index bus;
    std::string_view key;  // in the transaction
  };
  const std::vector<added_entry>& added() const { return added_; }
  bool has(command::bus_index bus) const { return buses_[bus]->held.waiting() > 0; }
  /// True if a write among them is to be confirmed.
  bool durable(command::bus_index bus) const { return buses_[bus]->durable; }
  /// True if all requests to the bus are about whole keys: DEL, EXPIRE, TTL and their kin.
  bool only_whole_keys(command::bus_index bus) const { return buses_[bus]->only_whole_keys; }
  /// The databases that requests to the bus choose, except the client's first one, as clients count.
  const std::vector<int>& databases(command::bus_index bus) const { return buses_[bus]->chosen; }
  /// Moves the requests to the bus: appends their bytes to `bytes`, and hands out who waits for replies.
  void take(command::bus_index bus, base::chunk_queue& bytes,
            std::vector<backend::pipeline::collected>& requests) {
    buses_[bus]->held.take(bytes, requests);
  }

  /// Ends everything that is not taken: the transaction is not carried out. Its client is closed.
  void give_up();

  std::vector<postponed_request> take_postponed() { return std::exchange(postponed_, {}); }
  /// Carries out a postponed request. The client may be closed then.
  void carry_out_postponed(session& client, const postponed_request& postponed);

 private:
  // One bus's requests that are kept, with a SELECT before those that are in another database.
  struct held_requests {
    held_requests(environment& environment, base::chunk_pool& chunks,
                  const backend::pipeline_settings& settings, command::bus_index bus);
    void begin(int in_database);
    backend::pipeline& requests(int in_database);

    environment& env;
    const command::bus_index bus;
    backend::pipeline held;
    std::vector<int> chosen;
    int first = 0, database = 0;
    bool only_whole_keys = true, durable = false;
  };

  client::request parse_next(std::string_view queued);
  void play(session& client, const client::request& request, exec_rights& rights);

  environment& env_;
  base::chunk_pool& chunks_;
  queued_request_handler* handler_ = nullptr;
  backend::pipeline_settings settings_;
  std::vector<std::unique_ptr<held_requests>> buses_;
  std::vector<added_entry> added_;
  std::vector<postponed_request> postponed_;
  std::vector<std::size_t> counts_;  // of requests by bus, before one is played
  resp::request_parser parser_;
};

}  // namespace dualbus::operation
