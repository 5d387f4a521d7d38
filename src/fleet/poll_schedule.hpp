#pragma once

#include <cstddef>
#include <cstdint>

namespace dualbus::fleet {

/// The way in which an engine asks for the streams that it reads.
enum class reader_style : std::uint8_t {
  sequential,  ///< one connection, one stream after the other, a pause after every pass: the legacy loop
  together,    ///< one connection, one XREADGROUP that names all streams
  parallel     ///< a connection and a loop for every stream
};

/// Decides which of its streams a reader asks next, and when it pauses. Streams are numbered from 0.
class poll_schedule {
 public:
  poll_schedule(std::size_t streams, reader_style style) : streams_(streams), style_(style) {}

  struct poll {
    std::size_t first, count;
  };
  /// The streams that the next XREADGROUP names.
  poll next() const;

  /// The poll has been answered. True if the engine now pauses: the legacy loop does after every pass over
  /// its streams, the others only after one that brought nothing, so that a poll that fails does not spin.
  bool finish(bool found_messages);

  /// True if the next poll begins a pass.
  bool at_start() const { return position_ == 0; }

 private:
  std::size_t streams_;
  reader_style style_;
  std::size_t position_ = 0;
  bool found_ = false;  // in this pass
};

}  // namespace dualbus::fleet
