#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/entry_merge.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::stream {
namespace {

void move_front(base::chunk_queue& from, std::size_t bytes, base::chunk_queue& to) {
  if (bytes == from.size()) return to.splice(from);
  while (bytes > 0) {
    iovec front;
    from.gather(&front, 1);
    const std::size_t here = std::min(bytes, front.iov_len);
    to.append({static_cast<const char*>(front.iov_base), here});
    from.consume(here);
    bytes -= here;
  }
}

}  // namespace

entry_merge::run& entry_merge::begin_run() {
  runs_.push_back({base::chunk_queue(*pool_), {}});
  return runs_.back();
}

std::size_t entry_merge::add(resp::reply_reader& reader, int slot) {
  const std::size_t count = reader.next().elements;
  if (count == 0) return 0;
  run& r = begin_run();
  r.entries.reserve(count);
  resp::encoder out(r.bytes);
  for (std::size_t i = 0; i < count; ++i) {
    if (reader.next().elements != 2) break;  // no entry
    const std::string_view text = reader.next().text;
    const std::string_view fields = reader.skip();
    if (fields.empty()) break;
    const auto id = parse_id(text, 0);
    const auto shown = id ? entry_to_client({id->ms, id->seq}, slot) : std::nullopt;
    if (!shown) {
      ++omitted_;
      continue;
    }
    const std::size_t before = r.bytes.size();
    char name[max_id_chars];
    out.array(2);
    out.bulk({name, write_id(name, shown->ms, shown->seq)});
    r.bytes.append(fields);
    r.entries.push_back({*shown, r.bytes.size() - before});
  }
  if (r.entries.empty()) runs_.pop_back();
  return count;
}

std::size_t entry_merge::add_as_is(resp::reply_reader& reader) {
  const std::size_t count = reader.next().elements;
  if (count == 0) return 0;
  run& r = begin_run();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view whole = reader.skip();
    resp::reply_reader inside(whole);
    inside.next();
    const auto id = parse_id(inside.next().text, 0).value_or(parsed_id{});
    r.bytes.append(whole);
    r.entries.push_back({{id.ms, id.seq}, whole.size()});
  }
  return count;
}

std::size_t entry_merge::cut(std::uint64_t count, std::optional<client_id> last) {
  std::vector<std::size_t> next(runs_.size(), 0);
  segments_.clear();
  chosen_ = 0;
  while (count == 0 || chosen_ < count) {
    std::size_t least = runs_.size();
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (next[i] == runs_[i].entries.size()) continue;
      if (least == runs_.size() || runs_[i].entries[next[i]].id < runs_[least].entries[next[least]].id) {
        least = i;
      }
    }
    if (least == runs_.size()) break;
    const entry& chosen = runs_[least].entries[next[least]++];
    if (last && *last < chosen.id) break;
    if (segments_.empty() || segments_.back().run != least) segments_.push_back({least, 0});
    segments_.back().bytes += chosen.bytes;
    last_chosen_ = chosen.id;
    ++chosen_;
  }
  return chosen_;
}

void entry_merge::write(base::chunk_queue& out) {
  resp::encoder(out).array(chosen_);
  for (const segment& s : segments_) move_front(runs_[s.run].bytes, s.bytes, out);
  runs_.clear();
  segments_.clear();
  chosen_ = 0;
}

}  // namespace dualbus::stream
