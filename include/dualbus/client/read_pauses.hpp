#pragma once

#include <cstdint>

namespace dualbus::client {

/// The reasons for which a client is not read for now. Any number may hold at once; the client is read while
/// there is none. A reason that is added twice is there once.
class read_pauses {
 public:
  enum class reason : std::uint16_t {
    held = 1,           ///< a command takes several rounds, and later ones wait for it
    congestion = 2,     ///< too many bytes wait to be sent to a bus
    in_flight = 4,      ///< as many requests as a client may have are without a reply
    closing = 8,        ///< nothing more is read; this pause never ends
    barrier = 16,       ///< a request waits for all replies before it
    exec = 32,          ///< as `held`, for EXEC, whose commands may be `held` themselves
    client_pause = 64,  ///< CLIENT PAUSE
    deferred = 128,     ///< a reply is put together from all workers' answers
    memory = 256,       ///< memory is tight, and the client has replies to read
    turn = 512,         ///< the client has used up its share of the worker's turn
    login = 1024,       ///< the client's attempt to log in is delayed
    order = 2048,       ///< a request would overtake one before it, on another connection to their bus
    hand_over = 4096,   ///< the client is about to go to another process
  };

  void add(reason which) { reasons_ |= static_cast<std::uint16_t>(which); }
  void remove(reason which) { reasons_ &= static_cast<std::uint16_t>(~static_cast<unsigned>(which)); }
  bool any() const { return reasons_ != 0; }
  bool has(reason which) const { return (reasons_ & static_cast<std::uint16_t>(which)) != 0; }
  /// True if that is the only reason.
  bool only(reason which) const { return reasons_ == static_cast<std::uint16_t>(which); }

 private:
  std::uint16_t reasons_ = 0;
};

}  // namespace dualbus::client
