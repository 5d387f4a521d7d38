#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/operation/request_operation.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/stream/key_changes.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace dualbus::operation {

class transaction;

/// Keeps transactions that are over for the next clients.
class transaction_pool {
 public:
  explicit transaction_pool(environment& environment) : env_(environment) {}
  ~transaction_pool();

  client::open_transaction::pointer take();
  void give_back(std::unique_ptr<transaction> spare);

 private:
  environment& env_;
  std::vector<std::unique_ptr<transaction>> spares_;
};

/// The requests queued since MULTI, and the keys watched. A client has one only in MULTI or while it watches.
///
///   WATCH ──> link: a connection of its own, for which Redis watches the keys
///   MULTI ──> requests: one after the other, as a bus will get them ──EXEC──> exec_operation
///
/// Nothing is sent before EXEC, so a client that goes away leaves nothing behind.
class transaction final : public client::open_transaction {
 public:
  transaction(environment& environment, transaction_pool& pool) : env_(environment), pool_(pool) {}
  ~transaction() { unwatch(); }
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  // --- the queue

  /// Appends one request: `raw` itself if `verbatim`, that is, if it reads as an encoder would write it.
  /// False, and nothing is appended, if the queue would take more than `limit` bytes.
  bool add(resp::arguments args, std::string_view raw, bool verbatim, std::size_t limit);
  /// A request was refused: EXEC will be refused, too. Empties the queue.
  void spoil() override;
  packed pack() const override { return {requests(), spoiled_, lost_}; }
  /// For a client whose watched keys were lost in another process.
  void note_lost_watch() { lost_ = true; }
  bool spoiled() const { return spoiled_; }
  std::size_t count() const override { return count_; }
  std::size_t bytes() const override { return requests_.size(); }
  std::string_view requests() const { return requests_.data(); }

  /// The request just added goes to this bus; no_bus: perhaps to several.
  void note_bus(command::bus_index bus);
  /// The request just added need not be played: it goes out as it is. `key`: the one key that it changes, in
  /// `raw`; a null view if it changes none.
  struct plain_request {
    std::uint16_t command;
    bool adds;                                ///< XADD, whose entries count as messages
    bool translates;                          ///< the client gets the entry's ID in its own form
    bool confirm = false;                     ///< a write that is to be confirmed
    bool changes = false;                     ///< it changes a key
    std::uint32_t key_at = 0, key_bytes = 0;  ///< of the key that it changes, in requests()
  };
  void note_plain(plain_request plain, std::string_view raw, std::string_view key, std::uint64_t routing);
  /// True if all requests are plain and go to one bus. `routing`: the present number.
  bool is_plain(std::uint64_t routing) const {
    return count_ > 0 && plain_.size() == count_ && !crosses_ && link_ == nullptr && !lost_ &&
           routing == routing_;
  }
  const std::vector<plain_request>& plain() const { return plain_; }
  std::string_view key_of(const plain_request& plain) const {
    return requests().substr(plain.key_at, plain.key_bytes);
  }
  command::bus_index bus() const { return bus_; }
  /// The client's database for the next queued request: a queued SELECT takes effect at EXEC.
  std::uint8_t database() const { return database_; }
  void select(std::uint8_t index) {
    selects_ |= index != database_;
    database_ = index;
  }
  /// True if a request that may write is queued.
  bool writes() const { return writes_; }
  void note_write() { writes_ = true; }
  /// True if a write is queued that is to be confirmed by its bus.
  bool confirms() const { return confirms_; }
  void note_confirm() { confirms_ = true; }
  /// The number of log-ins queued.
  int logins() const { return logins_; }
  void note_login() { ++logins_; }
  /// True if a SELECT of another database is queued.
  bool selects() const { return selects_; }
  /// Marks the keys that the plain requests change, until clear().
  void begin_changes(stream::key_changes& changes);
  /// False if all requests so far go to one bus at most.
  bool may_cross() const { return crosses_; }

  /// MULTI came from a client in that database; `routing`: the number of the routing and users.
  void begin(std::uint8_t database, std::uint64_t routing) {
    database_ = database;
    begun_under_ = routing;
  }
  std::uint64_t begun_under() const { return begun_under_; }
  /// Makes it as new, but keeps its memory, `keep` bytes at most.
  void clear(std::size_t keep);
  void destroy() override;

  // --- watched keys

  bool watches() const override { return link_ != nullptr; }
  command::bus_index watched_bus() const { return watched_bus_; }
  backend::link* watching_link() const { return link_; }
  /// Takes a link that was borrowed from the bus's dedicated pool, for that database; `routing`: the present
  /// number.
  void watch_over(backend::link& link, command::bus_index bus, std::uint8_t database, std::uint64_t routing);
  /// The link's database, as clients count.
  std::uint8_t watching_database() const { return watching_database_; }
  void set_watching_database(std::uint8_t index) { watching_database_ = index; }
  /// Redis has said that it watches the keys.
  void watching();
  /// A WATCH has failed: nothing is watched any more, and keys that were watched may change unseen.
  void lose_watch() override;
  void follow(command::bus_index bus) override;
  /// True if watched keys may have changed unseen: the connection was lost, the bus has left the place to
  /// which it leads, or the routing has changed since. `routing`: the present number.
  bool has_lost_watch(std::uint64_t routing) const;
  /// Gives the link back; the bus is told that nobody watches.
  void unwatch();
  /// The caller gives the link back.
  backend::link* take_link();

 private:
  environment& env_;
  transaction_pool& pool_;
  base::read_buffer requests_;
  std::size_t count_ = 0;
  std::vector<plain_request> plain_;
  std::vector<stream::key_change> changes_;
  std::uint64_t routing_ = 0, begun_under_ = 0, watched_under_ = 0;
  backend::link* link_ = nullptr;
  std::uint64_t connection_ = 0;  // the link's connection that watches, 0 before Redis has said so
  command::bus_index watched_bus_ = command::no_bus, bus_ = command::no_bus;
  std::uint8_t database_ = 0, watching_database_ = 0;
  int logins_ = 0;
  bool spoiled_ = false, crosses_ = false, lost_ = false, selects_ = false, writes_ = false,
       confirms_ = false;
};

using transaction_pointer = std::unique_ptr<transaction, client::open_transaction::deleter>;

/// The client's transaction; null if it is not in MULTI and watches nothing.
inline transaction* transaction_of(const session& client) {
  return static_cast<transaction*>(client.current_transaction());
}
/// The same; begins with an empty one if there is none.
transaction& open_transaction_of(session& client, transaction_pool& pool);

}  // namespace dualbus::operation
