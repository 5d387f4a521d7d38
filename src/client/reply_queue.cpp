#include <dualbus/client/reply_queue.hpp>

namespace dualbus::client {

void reply_queue::keep(owed_reply& reply, std::size_t bytes) {
  reply.kept_bytes_ += bytes;
  kept_bytes_ += bytes;
}

void reply_queue::end_answer() {
  owed_reply* const reply = std::exchange(answering_, nullptr);
  if (reply != nullptr) finish(*reply);
}

void reply_queue::mute(owed_reply& first, owed_reply& last) {
  for (owed_reply* reply = &first; reply != &last;) {
    reply = reply->next_;
    reply->muted_ = true;
    if (reply->done_) stashed_bytes_ -= reply->stash_.size();
    reply->stash_.clear();
  }
}

owed_reply* reply_queue::first_deferred() const {
  owed_reply* reply = oldest_;
  while (reply != nullptr && !reply->deferred_) reply = reply->next_;
  return reply;
}

void reply_queue::hold_pushes_behind_newest() {
  if (newest_ == nullptr || newest_->holds_pushes_) return;
  newest_->holds_pushes_ = true;
  ++newest_hold_;
}

void reply_queue::push(char first, std::string_view rest) {
  if (newest_hold_ == ended_holds_) {
    base::chunk_queue& out = push_target();
    out.append({&first, 1});
    return out.append(rest);
  }
  only_acknowledged_ = false;
  if (held_pushes_.empty() || held_pushes_.back().hold != newest_hold_)
    held_pushes_.push_back({newest_hold_, {}});
  (held_pushes_.back().bytes += first) += rest;
  stashed_bytes_ += 1 + rest.size();
}

void reply_queue::release_pushes() {
  ++ended_holds_;
  if (held_pushes_.empty() || held_pushes_.front().hold != ended_holds_) return;
  out_.append(held_pushes_.front().bytes);
  stashed_bytes_ -= held_pushes_.front().bytes.size();
  held_pushes_.erase(held_pushes_.begin());
}

}  // namespace dualbus::client
