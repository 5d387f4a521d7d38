#include "poll_schedule.hpp"

#include <utility>

namespace dualbus::fleet {

poll_schedule::poll poll_schedule::next() const {
  if (style_ == reader_style::together) return {0, streams_};
  return {position_, 1};
}

bool poll_schedule::finish(bool found_messages) {
  found_ = found_ || found_messages;
  position_ += next().count;
  if (position_ < streams_) return false;
  position_ = 0;
  const bool found = std::exchange(found_, false);
  return style_ == reader_style::sequential || !found;
}

}  // namespace dualbus::fleet
