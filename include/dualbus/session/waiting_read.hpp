#pragma once

#include <dualbus/session/group_operation.hpp>
#include <dualbus/session/parking_lot.hpp>
#include <dualbus/stream/entry_merge.hpp>
#include <dualbus/stream/read_request.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::session {

/// What XREAD and XREADGROUP have in common: keys, each with its buses; waiting in the parking; the reply.
class waiting_read : public group_operation, private parked_reader {
 protected:
  waiting_read(worker_context& context, session& owner, std::uint16_t command, stream::read_request what);

  /// One key of the request.
  struct key_read {
    std::string_view name;                      // in request_
    command::bus_index only = command::no_bus;  // of a pinned key
    stream::entry_merge found;
    std::size_t chosen = 0;  // entries that the reply will hold
    bool always = false;     // stands in the reply even if empty
  };

  bool has(const key_read& key, command::bus_index bus) const {
    return key.only == command::no_bus || key.only == bus;
  }
  /// True if the key has one bus and its IDs stay as they are.
  bool is_whole(const key_read& key) const { return key.only != command::no_bus; }
  /// Adds the entries that a reply to XREAD or XREADGROUP of this one key holds. Returns how many there were.
  std::size_t add_entries(key_read& key, command::bus_index bus, std::string_view reply);

  /// Answers with the keys that have chosen entries, or with nil.
  void answer_entries();
  void answer_nil();

  // --- waiting
  // ----------------------------------------------------------------------------------------------

  enum class event : std::uint8_t {
    wake,       ///< look at targets()
    expired,    ///< the time is over
    unblocked,  ///< CLIENT UNBLOCK
    refused     ///< it is answered with an error: CLIENT UNBLOCK … ERROR, or a right was lost
  };
  /// True if there is to be a wait when nothing is found.
  bool may_wait() const;
  /// When BLOCK is over; nothing: never.
  std::optional<base::time_point> deadline() const;
  /// Begins to wait, in the queues of `group` if there is one.
  void park(std::optional<std::string_view> group, const std::vector<parking_lot::sightings>& seen,
            std::optional<base::time_point> deadline);
  /// co_await suspend(), then ask this. wake: end it with stay() or leave().
  event last_event() const { return event_; }
  const std::vector<parking_lot::target>& targets() const { return targets_; }
  /// Nothing was found: goes on waiting.
  void stay(const std::vector<parking_lot::target>& failed,
            std::optional<base::time_point> again = std::nullopt);
  /// The wait is over; `served` if there is an answer worth waiting for.
  void leave(bool served);
  /// Answers what an event that ends the wait brings.
  void answer_event();
  /// True if the client has gone; then nothing must be taken for it.
  bool client_gone() const;
  bool unblock(bool with_error) override;
  bool misplaced() const override;
  std::vector<std::string> lasting_request() const override;
  bool refuse_wait(std::string_view error) override;
  bool taking() const override;
  void on_abandoned() override;

  stream::read_request request_;
  std::vector<key_read> keys_;

 private:
  void note_waiting();
  void note_reload();
  bool end_parking(event why);
  void on_wake(const std::vector<parking_lot::target>& targets, const reason& why) override;
  void on_expire() override;

  std::uint64_t routing_;  // the number of that under which it was last looked at
  parking_lot::reader_id parked_ = 0;
  event event_ = event::wake;
  std::string refusal_;  // that ends the wait
  std::vector<parking_lot::target> targets_;
  reason why_;
};

}  // namespace dualbus::session
