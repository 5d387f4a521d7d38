#pragma once

#include <dualbus/operation/group_operation.hpp>
#include <dualbus/operation/parking_lot.hpp>
#include <dualbus/stream/entry_merge.hpp>
#include <dualbus/stream/read_request.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::operation {

/// The common part of XREAD and XREADGROUP: keys, each with its buses; waiting in the parking lot; the reply.
class waiting_read : public group_operation, private parked_reader {
 protected:
  waiting_read(stream_environment& environment, session& owner, routed_request& request,
               stream::read_request read);

  /// One key of the request.
  struct key_read {
    std::string_view name;                      // in request_
    command::bus_index only = command::no_bus;  // of a pinned key
    stream::entry_merge found;
    std::size_t chosen = 0;  // entries that the reply will hold
    bool always = false;     // it stands in the reply even if empty
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

  enum class event : std::uint8_t {
    wake,       ///< look at targets()
    expired,    ///< the time is over
    unblocked,  ///< CLIENT UNBLOCK
    refused     ///< the answer is an error: CLIENT UNBLOCK … ERROR, or a right was lost
  };
  /// True if there is to be a wait when nothing is found.
  bool may_wait() const;
  /// The time when BLOCK is over; nothing: never.
  std::optional<base::time_point> deadline() const;
  /// Begins to wait, in the queues of `group` if there is one. False if a reload that came during the first
  /// look has ended the wait: answer_event().
  [[nodiscard]] bool park(std::optional<std::string_view> group,
                          const std::vector<parking_lot::sightings>& seen,
                          std::optional<base::time_point> deadline);
  /// The event after co_await suspend(). After `wake`, call stay() or leave().
  event last_event() const { return event_; }
  const std::vector<parking_lot::target>& targets() const { return targets_; }
  /// Nothing was found: goes on waiting. False if a reload that came during the look has ended the wait:
  /// answer_event().
  [[nodiscard]] bool stay(const std::vector<parking_lot::target>& failed,
                          std::optional<base::time_point> again = std::nullopt);
  /// The wait is over; `served`: it has brought an answer. `ended`: the targets where the last look has come
  /// to the end of the stream.
  void leave(bool served, const std::vector<parking_lot::target>& ended = {});
  /// Call in front of each read of new entries: the knowledge about the key on the bus at that time.
  parking_lot::sightings::value_type note_sending(std::size_t key, command::bus_index bus);
  /// Answers as the event that ends the wait demands.
  void answer_event();
  /// True if the client has gone; then nothing must be taken for it.
  bool client_gone() const;
  bool unblock(bool with_error) override;
  bool misplaced() const override;
  std::vector<std::string> lasting_request() const override;
  bool refuse_wait(std::string_view error) override;
  bool taking() const override;
  bool pack_wait(client::packed_wait& out) override;
  /// The positions of the keys in the request that goes on elsewhere: XREADGROUP waits for `>` only.
  virtual void pack_positions(client::packed_wait& out) const {
    out.words.insert(out.words.end(), keys_.size(), ">");
  }
  void on_abandoned() override;

  stream::read_request request_;
  std::vector<key_read> keys_;
  bool in_order_ = false;  // its reads are in order, if they may be: see parking_lot
  bool reads_in_order() const;

 private:
  void note_waiting();
  bool ended_by_reload();
  bool end_parking(event why);
  void on_wake(const std::vector<parking_lot::target>& targets, const reason& why) override;
  void on_expire() override;

  std::uint64_t routing_;  // its number at the last look
  parking_lot::reader_id parked_ = 0;
  bool between_looks_ = false;  // while the client's rights are reviewed
  event event_ = event::wake;
  std::string refusal_;  // the error that ends the wait
  std::vector<parking_lot::target> targets_;
  reason why_;
};

}  // namespace dualbus::operation
