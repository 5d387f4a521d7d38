#include "key_watch.hpp"

namespace dualbus::stream {

bool key_watch::arm() {
  if (state_ != state::disarmed) return false;
  state_ = state::arming;
  return true;
}

void key_watch::arm_answered() {
  if (state_ == state::arming) state_ = state::armed;
}

bool key_watch::arm_in_front() {
  if (due_ > 0 && !used_up_) return false;
  ++due_;
  ++armings_;
  used_up_ = false;
  state_ = state::armed;
  return true;
}

bool key_watch::arming_answered(bool done) {
  --armings_;
  if (!done) lost();
  return done;
}

void key_watch::entry_sent() {
  ++entries_;
  used_up_ |= due_ > 0;
}

bool key_watch::entry_answered(bool added) {
  --entries_;
  if (added || due_ == 0) return true;
  lost();
  return false;
}

bool key_watch::announced() {
  if (due_ > 1) {
    --due_;
    return false;
  }
  due_ = 0;
  used_up_ = false;
  // The watcher's EXISTS that is under way is answered behind this announcement.
  if (state_ == state::armed) state_ = state::disarmed;
  return true;
}

void key_watch::lost() {
  state_ = state::disarmed;
  due_ = 0;
  used_up_ = false;
}

}  // namespace dualbus::stream
