#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace dualbus::backend {

/// Is told when a bus that was congested takes requests again.
class drain_listener {
 public:
  /// False if it has nothing to send now: then it is the next one's turn.
  virtual bool on_drained() = 0;

 protected:
  ~drain_listener() = default;
};

/// Clients that wait until a bus takes more. Clients with large requests come in turn, one each time the bus
/// has taken what it had, because each of them may congest it again. Clients with small requests do not wait
/// for those: all of them go on at once.
class drain_queue {
 public:
  enum class wants : std::uint8_t { little, much };

  /// Calls `listener` once, from on_drained(). The listener must not call on_drained() from within.
  void await(drain_listener& listener, wants how_much) {
    how_much == wants::much ? much_.push_back(&listener) : little_.push_back(&listener);
    ++size_;
  }
  void forget(drain_listener& listener) {
    size_ -= std::erase(much_, &listener) + std::erase(little_, &listener);
  }
  bool empty() const { return size_ == 0; }

  /// The bus takes more.
  void on_drained() {
    for (drain_listener* const each : std::exchange(little_, {})) each->on_drained();
    while (!much_.empty()) {
      drain_listener* const next = much_.front();
      much_.pop_front();
      if (next->on_drained()) break;
    }
    size_ = much_.size() + little_.size();
  }

 private:
  std::deque<drain_listener*> much_;
  std::vector<drain_listener*> little_;
  std::size_t size_ = 0;
};

}  // namespace dualbus::backend
