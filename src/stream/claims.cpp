#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/claims.hpp>

#include <algorithm>
#include <limits>

namespace dualbus::stream {
namespace {

std::optional<bus_id> bus_id_of(std::string_view text) {
  const auto id = parse_id(text, 0);
  if (!id) return std::nullopt;
  return bus_id{id->ms, id->seq};
}

// Reads an array of entries or IDs; returns how many had no client form.
std::size_t read_claims(resp::reply_reader& reader, int slot, std::vector<claimed>& out) {
  std::size_t omitted = 0;
  for (std::size_t left = reader.next().elements; left > 0; --left) {
    resp::reply_reader element(reader.skip());
    resp::reply_value value = element.next();
    const bool only_id = !value.is_aggregate();
    if (!only_id && (value.type != '*' || value.elements != 2)) continue;  // no entry
    if (!only_id) value = element.next();
    const auto id = bus_id_of(value.text);
    const auto fields = element.last(only_id ? 0 : 1);
    if (!id || !fields) continue;
    if (const auto shown = entry_to_client(*id, slot)) {
      out.push_back({*shown, only_id, *fields});
    } else {
      ++omitted;
    }
  }
  return omitted;
}

// The first position of a bus. That of slot 0 is 0-0, which means the end, but no walk goes on at slot 0.
client_id begin_of(int slot) {
  return {0, static_cast<std::uint64_t>(slot) * slot_span};
}

}  // namespace

void write_claims(const std::vector<claimed>& claims, resp::encoder& out, base::chunk_queue& raw) {
  out.array(claims.size());
  for (const claimed& c : claims) {
    if (!c.only_id) out.array(2);
    char text[max_id_chars];
    out.bulk({text, write_id(text, c.id.ms, c.id.seq)});
    raw.append(c.fields);
  }
}

void claim_merge::add(std::string_view reply, int slot) {
  resp::reply_reader reader(reply);
  part p{slot, {}};
  read_claims(reader, slot, p.claims);
  if (!p.claims.empty()) parts_.push_back(std::move(p));
}

// Each bus answers in the order in which it was asked, and leaves out what it did not claim.
std::vector<claimed> claim_merge::in_order_of(const std::vector<client_id>& ids) const {
  std::vector<claimed> result;
  std::vector<std::size_t> taken(parts_.size(), 0);
  for (const client_id id : ids) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const part& p = parts_[i];
      if (taken[i] == p.claims.size() || p.claims[taken[i]].id != id) continue;
      result.push_back(p.claims[taken[i]++]);
      break;
    }
  }
  return result;
}

autoclaim_walk::autoclaim_walk(std::vector<int> slots, const bound<client_id>& start, std::uint64_t count)
    : slots_(std::move(slots)), start_(start), left_(count) {
  const auto first = std::find_if(slots_.begin(), slots_.end(), [&](int slot) {
    return static_cast<std::uint64_t>(slot) >= slot_of(start_.id);
  });
  at_ = static_cast<std::size_t>(first - slots_.begin());
}

std::string autoclaim_walk::start_here() const {
  const bool named = static_cast<std::uint64_t>(slots_[at_]) == slot_of(start_.id);
  if (!named) return "0-0";
  return to_string(bound<bus_id>{to_bus(start_.id), start_.exclusive});
}

std::optional<autoclaim_walk::step> autoclaim_walk::next() {
  if (at_ >= slots_.size()) return std::nullopt;
  if (left_ == 0) {
    stop();
    return std::nullopt;
  }
  return step{at_, start_here(), left_};
}

std::size_t autoclaim_walk::take(std::string reply) {
  replies_.push_back(std::move(reply));
  const int slot = slots_[at_++];
  resp::reply_reader reader(replies_.back());
  reader.next();
  const auto cursor = bus_id_of(reader.next().text);
  const std::size_t before = claims_.size() + deleted_.size();
  std::size_t omitted = read_claims(reader, slot, claims_);
  std::vector<claimed> deleted;
  omitted += read_claims(reader, slot, deleted);
  for (const claimed& d : deleted) deleted_.push_back(d.id);
  left_ -= std::min<std::uint64_t>(left_, claims_.size() + deleted_.size() - before + omitted);
  if (next_ || !cursor || *cursor == bus_id{}) return omitted;
  if (const auto shown = entry_to_client(*cursor, slot)) {
    next_ = shown;
  } else if (cursor->ms != std::numeric_limits<std::uint64_t>::max()) {
    // No other entry of that millisecond has a client form; a walk that begins in it again might never get
    // past it.
    next_ = entry_to_client({cursor->ms + 1, 0}, slot);
  }
  return omitted;
}

void autoclaim_walk::stop() {
  if (!next_ && at_ < slots_.size()) next_ = begin_of(slots_[at_]);
  at_ = slots_.size();
}

void autoclaim_walk::write(resp::encoder& out, base::chunk_queue& raw) const {
  out.array(3);
  out.bulk(to_string(next_.value_or(client_id{})));
  write_claims(claims_, out, raw);
  out.array(deleted_.size());
  for (const client_id id : deleted_) out.bulk(to_string(id));
}

}  // namespace dualbus::stream
