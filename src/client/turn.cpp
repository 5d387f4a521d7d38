#include <dualbus/client/turn.hpp>

#include <utility>

namespace dualbus::client {

void turn::begin() {
  now = base::clock::now();
  ++number;
  leftover_before_ = leftover_.size();
}

void turn::share_out_leftover() {
  constexpr std::size_t most = 2;
  for (std::size_t gone_on = 0; leftover_before_ > 0 && gone_on < most; --leftover_before_) {
    member* const client = leftover_.front();
    leftover_.pop_front();
    if (client == nullptr) continue;
    client->begin_next_share();
    ++gone_on;
  }
}

void turn::resume_those_that_may() {
  std::swap(resuming_, to_resume_);
  for (member* const client : resuming_) client->resume();
  resuming_.clear();
}

void turn::flush_all() {
  for (std::size_t i = 0; i < to_flush_.size(); ++i) to_flush_[i]->flush();
  to_flush_.clear();
}

}  // namespace dualbus::client
