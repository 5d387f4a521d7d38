#pragma once

#include <vector>

namespace dualbus::operation {

/// Transactions for which there are not enough links, in the order in which they came. One per worker.
class link_queue {
 public:
  class waiter {
   public:
    /// Takes the links that the waiter needs, and goes on; false if they are still not free.
    virtual bool retry() = 0;
    /// There will be no links. The waiter calls forget() for itself.
    virtual void give_up_waiting() = 0;

   protected:
    ~waiter() = default;
  };

  void await(waiter& who) { waiting_.push_back(&who); }
  void forget(waiter& who) { std::erase(waiting_, &who); }
  bool anybody_waits() const { return !waiting_.empty(); }
  /// Once per turn, before the buses write: links may have been given back.
  void settle() {
    while (!waiting_.empty() && waiting_.front()->retry()) waiting_.erase(waiting_.begin());
  }
  /// Ends the waiting transactions: the worker ends.
  void stop() {
    while (!waiting_.empty()) waiting_.front()->give_up_waiting();
  }

 private:
  std::vector<waiter*> waiting_;
};

}  // namespace dualbus::operation
