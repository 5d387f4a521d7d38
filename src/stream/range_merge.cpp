#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/range_merge.hpp>

#include <algorithm>

namespace dualbus::stream {

bool range_merge::add(std::string_view reply, int slot) {
  resp::reply_reader reader(reply);
  const resp::reply_value entries = reader.next();
  if (entries.type != '*') return entries.null;
  for (std::size_t i = 0; i < entries.elements; ++i) {
    if (reader.next().elements != 2) return false;
    const auto id = parse_id(reader.next().text, 0);
    const std::string_view fields = reader.skip();
    if (!id || fields.empty()) return false;
    if (const auto shown = entry_to_client({id->ms, id->seq}, slot)) {
      entries_.push_back({*shown, fields});
    } else {
      ++omitted_;
    }
  }
  return true;
}

void range_merge::merge() {
  std::sort(entries_.begin(), entries_.end(),
            [this](const entry& a, const entry& b) { return descending_ ? b.id < a.id : a.id < b.id; });
  if (count_ && entries_.size() > *count_) entries_.resize(*count_);
}

std::optional<std::uint64_t> range_merge::latest_ms() const {
  if (entries_.empty()) return std::nullopt;
  return descending_ ? entries_.front().id.ms : entries_.back().id.ms;
}

void range_merge::write(resp::encoder& out, base::chunk_queue& raw) const {
  out.array(entries_.size());
  for (const entry& e : entries_) {
    out.array(2);
    char text[max_id_chars];
    out.bulk({text, write_id(text, e.id.ms, e.id.seq)});
    raw.append(e.fields);
  }
}

}  // namespace dualbus::stream
