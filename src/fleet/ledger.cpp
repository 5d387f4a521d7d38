#include "ledger.hpp"

#include <bit>

namespace dualbus::fleet {

ledger::ledger(std::vector<std::uint32_t> readers) {
  for (const std::uint32_t mask : readers) streams_.push_back({mask, 0, {}});
}

ledger::record* ledger::find(std::size_t stream, std::uint64_t index) {
  stream_records& s = streams_[stream];
  if (index < s.first || index - s.first >= s.records.size()) return nullptr;
  return &s.records[index - s.first];
}

std::uint64_t ledger::publish(std::size_t stream, message_type type, base::time_point now) {
  stream_records& s = streams_[stream];
  s.records.push_back({now, 0, type, state::sent});
  return s.first + s.records.size() - 1;
}

void ledger::owe(const stream_records& s, record& r) {
  r.status = state::acknowledged;
  ++totals_.acknowledged;
  ++published_[static_cast<std::size_t>(bus_of(r.type))];
  owed_ += static_cast<std::uint64_t>(std::popcount(s.readers & ~r.delivered));
}

void ledger::acknowledge(std::size_t stream, std::uint64_t index) {
  record* r = find(stream, index);
  if (r == nullptr || r->status != state::sent) return;
  owe(streams_[stream], *r);
  forget_done(streams_[stream]);
}

void ledger::refuse(std::size_t stream, std::uint64_t index) {
  record* r = find(stream, index);
  if (r == nullptr || r->status != state::sent) return;
  r->status = state::refused;
  ++totals_.refused;
  if (r->delivered != 0) ++totals_.wrong;
  forget_done(streams_[stream]);
}

void ledger::lose_answer(std::size_t stream, std::uint64_t index) {
  record* r = find(stream, index);
  if (r == nullptr || r->status != state::sent) return;
  ++totals_.answers_lost;
  r->status = state::answer_lost;
  if (r->delivered != 0) owe(streams_[stream], *r);
  forget_done(streams_[stream]);
}

ledger::delivery ledger::deliver(std::size_t stream, std::uint64_t index, message_type type,
                                 std::size_t group) {
  const auto wrong = [this] {
    ++totals_.wrong;
    return delivery{verdict::wrong, {}};
  };
  if (stream >= streams_.size() || type == no_type) return wrong();
  stream_records& s = streams_[stream];
  const std::uint32_t bit = std::uint32_t{1} << group;
  if ((s.readers & bit) == 0) return wrong();
  if (index < s.first) {
    ++totals_.duplicates;
    return {verdict::duplicate, {}};
  }
  record* r = find(stream, index);
  if (r == nullptr || r->type != type || r->status == state::refused) return wrong();
  if ((r->delivered & bit) != 0) {
    ++totals_.duplicates;
    return {verdict::duplicate, {}};
  }
  const base::time_point published = r->published;
  if (r->status == state::answer_lost) owe(s, *r);
  r->delivered |= bit;
  ++totals_.delivered;
  if (r->status == state::acknowledged) --owed_;
  forget_done(s);
  return {verdict::first, published};
}

bool ledger::has(std::size_t stream, std::uint64_t index, std::size_t group) const {
  if (stream >= streams_.size()) return false;
  const stream_records& s = streams_[stream];
  if (index < s.first) return true;
  return index - s.first < s.records.size() && (s.records[index - s.first].delivered >> group & 1) != 0;
}

void ledger::forget_done(stream_records& s) {
  while (!s.records.empty()) {
    const record& r = s.records.front();
    const bool done =
        r.status == state::refused || (r.status == state::acknowledged && (s.readers & ~r.delivered) == 0);
    if (!done) return;
    s.records.pop_front();
    ++s.first;
  }
}

std::vector<ledger::debt> ledger::debts() const {
  std::vector<debt> found;
  for (std::size_t stream = 0; stream < streams_.size(); ++stream) {
    const stream_records& s = streams_[stream];
    for (std::size_t group = 0; group < 32; ++group) {
      const std::uint32_t bit = std::uint32_t{1} << group;
      if ((s.readers & bit) == 0) continue;
      debt owed{stream, group, 0};
      for (const record& r : s.records) {
        if (r.status == state::acknowledged && (r.delivered & bit) == 0) ++owed.messages;
      }
      if (owed.messages > 0) found.push_back(owed);
    }
  }
  return found;
}

}  // namespace dualbus::fleet
