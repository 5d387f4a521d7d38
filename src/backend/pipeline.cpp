#include <dualbus/backend/pipeline.hpp>

#include <new>
#include <utility>

namespace dualbus::backend {

pipeline::pipeline(base::chunk_pool& pool, const pipeline_settings& settings, metrics::bus_metrics& metrics,
                   pipeline_observer* observer)
    : settings_(settings), metrics_(metrics), observer_(observer), out_(pool) {}

void pipeline::on_connected() {
  connected_ = true;
  ++connections_;
  if (observer_ != nullptr) observer_->on_connected();
}

void pipeline::end(reply_sink& sink, std::uint32_t part, base::time_point now) {
  slots_.push_back({&sink, part, 0, written_ + out_.size(), now, {}});
  ++metrics_.requests;
}

void pipeline::end_block(reply_sink& sink, std::uint32_t replies, base::time_point now) {
  slots_.push_back({&sink, 0, replies - 1, written_ + out_.size(), now, {}});
  ++metrics_.requests;
}

void pipeline::drop_unannounced() {
  const std::uint64_t announced = slots_.empty() ? begin_ : slots_[slots_.size() - 1].end;
  out_.erase(announced - written_, written_ + out_.size() - announced);
}

void pipeline::give_up(reply_sink& sink) {
  struct ending {
    reply_sink* sink;
    std::uint32_t part;
    failure why;
  };
  std::vector<ending> endings;  // told last, because the sink may append
  const std::size_t begun = sent_ + (unfinished_bytes() > 0 ? 1 : 0);
  for (std::size_t i = 0; i < begun; ++i) {
    slot& s = slots_[i];
    if (s.sink == nullptr || !s.sink->stands_for(sink)) continue;
    endings.push_back({s.sink, s.part, failure::bus_timeout});
    s.sink = nullptr;
    given_up_end_ = s.end;
    ++metrics_.timeouts;
  }
  std::size_t kept = begun;
  std::uint64_t begin = begun > 0 ? slots_[begun - 1].end : begin_, dropped = 0;
  for (std::size_t i = begun; i < slots_.size(); ++i) {
    slot s = slots_[i];
    const std::uint64_t bytes = s.end - std::exchange(begin, s.end);
    s.end -= dropped;
    if (s.sink == nullptr || !s.sink->stands_for(sink)) {
      slots_[kept++] = s;
      continue;
    }
    out_.erase(s.end - bytes - written_, bytes);
    dropped += bytes;
    if (s.end <= released_ && released_ != ~std::uint64_t{0}) released_ -= bytes;
    endings.push_back({s.sink, s.part, failure::bus_down});
  }
  slots_.truncate(kept);
  for (const ending& e : endings) e.sink->on_failure(e.part, e.why);
}

void pipeline::mark(base::time_point now) {
  if (marker_.marker.under_way()) return;
  marker_.marker.write(out_);
  slots_.push_back({&marker_, 0, 0, written_ + out_.size(), now, {}});
}

bool pipeline::swallows_marker() {
  if (!marker_.marker.under_way() || sent_ == 0 || input_.empty()) return false;
  constexpr std::size_t most_of_a_word = 64;  // a word may be cut where the last look ended
  const std::string_view bytes = input_.data();
  const slot& front = slots_.front();
  if (front.sink == &marker_) return marker_.marker.swallowed_by(bytes, true);
  if (looked_in_ != front.end || looked_at_ > bytes.size()) looked_at_ = 0;
  const std::string_view unseen = bytes.substr(looked_at_ - std::min(looked_at_, most_of_a_word));
  looked_in_ = front.end;
  looked_at_ = bytes.size();
  return marker_.marker.swallowed_by(unseen, false);
}

void pipeline::take(base::chunk_queue& bytes, std::vector<collected>& requests) {
  requests.reserve(requests.size() + slots_.size());  // all are taken, or none if there is no memory
  for (; !slots_.empty(); slots_.pop_front()) {
    requests.push_back({slots_.front().sink, slots_.front().part});
  }
  begin_ = written_ += out_.size();
  bytes.splice(out_);
}

pipeline::slot pipeline::pop() {
  const slot front = slots_.front();
  slots_.pop_front();
  begin_ = front.end;
  if (sent_ > 0) --sent_;
  return front;
}

void pipeline::pass_on(pipeline& heir) {
  for (; sent_ > 0; ++heir.sent_) {
    slot given = pop();
    given.end = heir.written_;
    heir.slots_.push_back(given);
  }
}

void pipeline::on_written(std::size_t bytes, base::time_point now) {
  out_.consume(bytes);
  written_ += bytes;
  last_written_ = now;
  metrics_.sent_bytes += bytes;
  for (; sent_ < slots_.size() && slots_[sent_].end <= written_; ++sent_) slots_[sent_].sent = now;
}

pipeline::verdict pipeline::on_received(base::time_point now) {
  try {
    return take_replies(now);
  } catch (const std::bad_alloc&) {
    return verdict::no_memory;
  }
}

pipeline::verdict pipeline::take_replies(base::time_point now) {
  for (;;) {
    switch (scanner_.scan(input_.data())) {
      case resp::scan_status::incomplete:
        if (input_.size() >= large_reply_bytes) [[unlikely]]
          drop_unneeded();
        return verdict::ok;
      case resp::scan_status::error:
        return verdict::garbage;
      case resp::scan_status::complete:
        break;
    }
    const std::string_view bytes = input_.data().substr(0, scanner_.consumed());
    const char type = scanner_.type();
    scanner_.reset();
    if (type == '>') {  // no answer; and without an observer no news either, since nothing is subscribed to
      if (observer_ != nullptr) observer_->on_push(bytes);
      input_.consume(bytes.size());
      continue;
    }
    if (sent_ == 0) {
      if (observer_ == nullptr || !observer_->on_unasked(bytes)) return verdict::unasked;
      input_.consume(bytes.size());
      continue;
    }
    if (marker_.marker.expected() && passed_over_ != begin_) [[unlikely]] {
      const bool own = slots_.front().sink == &marker_;
      if (!marker_.marker.fits(bytes, own)) return verdict::disordered;
      if (own) {
        pop();
        input_.consume(bytes.size());
        continue;
      }
    }
    if (slot& block = slots_.front(); block.more > 0) [[unlikely]] {
      --block.more;
      if (block.sink != nullptr) block.sink->on_reply(block.part++, {bytes, type, now - block.sent});
      input_.consume(bytes.size());
      continue;
    }
    const slot front = pop();
    const base::duration bus_time = now - front.sent;
    metrics_.bus_duration.observe(bus_time);
    if (front.sink != nullptr) front.sink->on_reply(front.part, {bytes, type, bus_time});
    input_.consume(bytes.size());
  }
}

void pipeline::drop_unneeded() {
  if (sent_ == 0 || scanner_.type() == 0 || scanner_.type() == '>') return;
  const slot& front = slots_[0];
  if (front.sink != nullptr && front.sink->needs_reply()) return;
  passed_over_ = begin_;
  input_.consume(scanner_.pass_over(input_.data()));
  if (input_.empty()) input_.release();
}

void pipeline::drop_front_bytes(std::uint64_t up_to) {
  out_.consume(up_to - written_);
  written_ = up_to;
}

std::size_t pipeline::unfinished_bytes() const {
  if (sent_ == slots_.size() || written_ == (sent_ > 0 ? slots_[sent_ - 1].end : begin_)) return 0;
  return slots_[sent_].end - written_;
}

void pipeline::on_disconnected(base::time_point) {
  connected_ = false;
  given_up_end_ = 0;
  input_.release();
  scanner_.reset();
  // Sinks may append while they are told, so what was sent is counted first.
  std::size_t lost = sent_;
  if (unfinished_bytes() > 0) {
    drop_front_bytes(slots_[sent_].end);
    ++lost;
  }
  for (; lost > 0; --lost) {
    const slot front = pop();
    if (front.sink != nullptr) front.sink->on_failure(front.part, failure::bus_lost);
  }
  if (!marker_.marker.under_way()) marker_.marker.forget();
  if (!outlasting_) give_up();
  if (observer_ != nullptr) observer_->on_disconnected();
}

void pipeline::give_up() {
  while (!slots_.empty()) {
    drop_front_bytes(slots_.front().end);
    const slot front = pop();
    if (front.sink != nullptr) front.sink->on_failure(front.part, failure::bus_down);
  }
}

std::optional<std::int64_t> pipeline::written_behind_expired(base::time_point now) const {
  std::uint64_t last = given_up_end_;
  for (std::size_t i = 0; i < sent_ && settings_.request_timeout.count() > 0; ++i) {
    const slot& s = slots_[i];
    if (s.sink == nullptr || s.sink == &marker_) continue;
    if (now - s.queued < settings_.request_timeout) break;
    last = std::max(last, s.end);
  }
  if (last == 0) return std::nullopt;
  return static_cast<std::int64_t>(written_) - static_cast<std::int64_t>(last);
}

void pipeline::tick(base::time_point now) {
  const auto limit = settings_.request_timeout;
  if (!connected_) {
    const auto wait =
        limit.count() == 0 ? settings_.reconnect_wait : std::min(limit, settings_.reconnect_wait);
    while (!slots_.empty() && now - slots_.front().queued >= wait) {
      drop_front_bytes(slots_.front().end);
      const slot front = pop();
      front.sink->on_failure(front.part, failure::bus_down);
    }
    return;
  }
  if (settings_.request_timeout.count() == 0) return;
  // The time counts from when a request was queued, since it may have waited for a connection. Those that
  // came first expire first; those given up already stand among them.
  for (std::size_t i = 0; i < sent_; ++i) {
    slot& s = slots_[i];
    if (s.sink == nullptr || s.sink == &marker_) continue;
    if (now - s.queued < settings_.request_timeout) break;
    ++metrics_.timeouts;
    const std::uint32_t part = s.part;
    std::exchange(s.sink, nullptr)->on_failure(part, failure::bus_timeout);
  }
}

std::size_t pipeline::abandoned() const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    count += slots_[i].sink == nullptr || slots_[i].sink->abandoned() ? 1 : 0;
  }
  return count;
}

}  // namespace dualbus::backend
