#pragma once

#include <dualbus/backend/link.hpp>
#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/routing_table.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/stream/key_changes.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace dualbus::session {

class worker_context;

/// The requests queued since MULTI, and the keys watched. A session has one only while there is either.
///
///   WATCH ──> link: a connection of its own, which Redis watches the keys for
///   MULTI ──> requests: bytes of one request after the other, as a bus will get them ──EXEC──>
///   exec_operation
///
/// Nothing is sent before EXEC, so a client that goes away leaves nothing behind.
class transaction {
 public:
  explicit transaction(worker_context& context) : context_(context) {}
  ~transaction() { unwatch(); }
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  // --- the queue
  // ---------------------------------------------------------------------------------------------

  /// Appends one request, `raw` if it stands there as an encoder would write it. False, and nothing is
  /// appended, if all of them would take more than `limit` bytes.
  bool add(resp::arguments args, std::string_view raw, bool verbatim, std::size_t limit);
  /// A request was refused: EXEC will be, too. The queue is forgotten.
  void spoil();
  bool spoiled() const { return spoiled_; }
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return requests_.size(); }
  std::string_view requests() const { return requests_.data(); }

  /// The request just added goes to this bus; no_bus: perhaps to several.
  void note_bus(command::bus_index bus);
  /// The request just added need not be played: it goes out as it is. `key`, if it changes one, is its only
  /// one, in `raw`; else a view of nothing.
  struct plain_request {
    std::uint16_t command;
    bool adds;                                ///< XADD, whose entries count as messages
    bool translates;                          ///< and whose ID the client gets in its own form
    bool changes = false;                     ///< a key
    std::uint32_t key_at = 0, key_bytes = 0;  ///< in requests(); of what it changes
  };
  void note_plain(plain_request what, std::string_view raw, std::string_view key, std::uint64_t routing);
  /// True if all requests are plain and go to one bus, by the routing of that number, which is the present
  /// one.
  bool is_plain(std::uint64_t routing) const {
    return count_ > 0 && plain_.size() == count_ && !crosses_ && link_ == nullptr && !lost_ &&
           routing == routing_;
  }
  const std::vector<plain_request>& plain() const { return plain_; }
  std::string_view key_of(const plain_request& what) const {
    return requests().substr(what.key_at, what.key_bytes);
  }
  command::bus_index bus() const { return bus_; }
  /// The client's database for what is queued next: SELECT takes effect when it is carried out.
  std::uint8_t database() const { return database_; }
  void select(std::uint8_t index) {
    selects_ |= index != database_;
    database_ = index;
  }
  /// Something that may write is queued.
  bool writes() const { return writes_; }
  void note_write() { writes_ = true; }
  /// How many log-ins are queued.
  int logins() const { return logins_; }
  void note_login() { ++logins_; }
  /// True if a SELECT of another database is queued.
  bool selects() const { return selects_; }
  /// Holds what the plain requests change, until clear().
  void begin_changes(stream::key_changes& changes);
  /// False if all requests so far go to one bus at most.
  bool may_cross() const { return crosses_; }

  /// MULTI came, of a client in that database, under the routing and users of that number.
  void begin(std::uint8_t database, std::uint64_t routing) {
    database_ = database;
    begun_under_ = routing;
  }
  std::uint64_t begun_under() const { return begun_under_; }
  /// As new, with the memory that it has; `keep` bytes at most.
  void clear(std::size_t keep);

  // --- what is watched
  // ----------------------------------------------------------------------------------------

  bool watches() const { return link_ != nullptr; }
  command::bus_index watched_bus() const { return watched_bus_; }
  backend::link* watching_link() const { return link_; }
  /// Takes a link that was borrowed from the bus's dedicated pool, in that database, under the routing of
  /// that number.
  void watch_over(backend::link& link, command::bus_index bus, std::uint8_t database, std::uint64_t routing);
  /// The link's, as clients count.
  std::uint8_t watching_database() const { return watching_database_; }
  void set_watching_database(std::uint8_t index) { watching_database_ = index; }
  /// Redis has said that it watches the keys.
  void watching();
  /// A WATCH has failed: nothing is watched any more, and whatever was may change unseen.
  void lose_watch();
  /// Keys that were watched may have changed unseen: the connection was lost, or they have another bus by the
  /// routing of that number, which is the present one.
  bool has_lost_watch(std::uint64_t routing) const;
  /// Gives the link back; the bus is told that nobody watches.
  void unwatch();
  /// The caller gives the link back.
  backend::link* take_link();

 private:
  worker_context& context_;
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
  bool spoiled_ = false, crosses_ = false, lost_ = false, selects_ = false, writes_ = false;
};

}  // namespace dualbus::session
