#pragma once

#include <dualbus/base/clock.hpp>
#include <dualbus/client/timer_queue.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace dualbus::client {

/// The turns of one worker, one after the other: the time that counts in a turn, its number, the timers, and
/// the clients that go on or write at its end. It knows no socket; the worker's loop calls it.
class turn {
 public:
  /// A client, as far as turns are concerned. It must be forgotten before it is freed.
  class member {
   public:
    /// Writes the client's output.
    virtual void flush() = 0;
    /// Goes on with requests that were read before a pause.
    virtual void resume() = 0;
    /// The other clients have had their turn: goes on with the requests beyond one turn's share.
    virtual void begin_next_share() = 0;

   protected:
    ~member() = default;
  };

  base::time_point now = base::clock::now();
  std::uint32_t number = 0;
  timer_queue timers;

  void begin();

  /// At most once per client until it has been flushed.
  void flush_later(member& client) { to_flush_.push_back(&client); }
  /// At most once per client until it has been resumed.
  void resume_later(member& client) { to_resume_.push_back(&client); }
  /// The client has used up its share of this turn, and has requests left.
  void go_on_next_turn(member& client) { leftover_.push_back(&client); }
  void forget_leftover(member& client) {
    std::replace(leftover_.begin(), leftover_.end(), &client, static_cast<member*>(nullptr));
  }
  /// The next turn is to come at once.
  bool has_leftover() const { return !leftover_.empty(); }

  /// Lets clients go on that had more requests than a share of an earlier turn, a few clients in each turn:
  /// new requests of the others come between.
  void share_out() {
    if (leftover_before_ > 0) [[unlikely]]
      share_out_leftover();
  }
  /// Clients that ask to be resumed meanwhile come next time.
  void resume_all() {
    if (!to_resume_.empty()) resume_those_that_may();
  }
  bool wants_to_resume() const { return !to_resume_.empty(); }
  /// Also flushes clients that ask for it meanwhile.
  void flush_all();
  /// Forgets the clients for which `ended(member)` is true.
  template <typename Ended>
  void forget_if(Ended&& ended) {
    const auto has_ended = [&](const member* client) { return ended(*client); };
    std::erase_if(to_resume_, has_ended);
    std::erase_if(to_flush_, has_ended);
  }

 private:
  void share_out_leftover();
  void resume_those_that_may();

  std::vector<member*> to_flush_, to_resume_, resuming_;
  std::deque<member*> leftover_;  // null: it has ended
  std::size_t leftover_before_ = 0;
};

}  // namespace dualbus::client
