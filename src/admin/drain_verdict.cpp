#include "drain_verdict.hpp"

#include <algorithm>
#include <utility>

namespace dualbus::admin {

using std::chrono::milliseconds;

drain_verdict judge(const drain_group& group) {
  if (group.ignored) return drain_verdict::drained;
  if (group.next || group.pending > 0 || !group.missing_on.empty()) return drain_verdict::held;
  return group.unknown_on.empty() ? drain_verdict::drained : drain_verdict::unknown;
}

drain_verdict judge(const drain_stream& stream, milliseconds quiet) {
  if (stream.quiet_for < quiet) return drain_verdict::held;
  drain_verdict worst = drain_verdict::drained;
  for (const drain_group& group : stream.groups) {
    const drain_verdict one = judge(group);
    if (one == drain_verdict::held) return one;
    if (one == drain_verdict::unknown) worst = one;
  }
  return worst;
}

void quiet_watch::begin() {
  ++check_;
}

bool quiet_watch::first_time(const std::string& key) {
  return std::exchange(entries_[key].check, check_) != check_;
}

milliseconds quiet_watch::observe(const std::string& key, stream::bus_id last_generated,
                                  base::time_point now) {
  entry& known = entries_[key];
  known.check = check_;
  if (!known.observed || known.last_generated != last_generated) {
    known.last_generated = last_generated;
    known.since = now;
    known.observed = true;
  }
  return std::chrono::duration_cast<milliseconds>(now - known.since);
}

void quiet_watch::end() {
  std::erase_if(entries_, [this](const auto& one) { return one.second.check != check_; });
}

void drain_report::add(drain_stream&& stream) {
  ++streams_;
  logical_streams_ += stream.logical;
  const drain_verdict verdict = judge(stream, quiet_);
  drained_ += verdict == drain_verdict::drained;
  held_streams_ += verdict == drain_verdict::held;
  if (stream.groups.empty() && stream.length > 0) {
    ungrouped_.add({stream.key, stream.database, stream.length});
  }
  if (stream.quiet_for < quiet_)
    held_.add({stream.key, stream.database, stream.logical, {}, stream.quiet_for});
  for (drain_group& group : stream.groups) {
    if (!group.ignored) {
      undelivered_groups_ += group.next.has_value();
      missing_groups_ += !group.missing_on.empty();
      pending_entries_ += group.pending;
      if (judge(group) == drain_verdict::drained) continue;
    }
    list<row>& target = group.ignored ? ignored_ : held_;
    target.add({stream.key, stream.database, stream.logical, std::move(group), stream.quiet_for});
  }
}

void drain_report::set_keys(std::uint64_t keys) {
  other_keys_ = keys - std::min(keys, logical_streams_ + pinned_.total);
}

drain_verdict drain_report::verdict() const {
  if (held_streams_ > 0) return drain_verdict::held;
  return drained_ == streams_ ? drain_verdict::drained : drain_verdict::unknown;
}

}  // namespace dualbus::admin
