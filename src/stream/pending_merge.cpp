#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/pending_merge.hpp>

#include <algorithm>
#include <string>

namespace dualbus::stream {

void pending_summary::add(std::string_view reply, int slot) {
  resp::reply_reader reader(reply);
  if (reader.next().elements != 4) return;
  total_ += reader.next().number;
  const auto first = parse_id(reader.next().text, 0), last = parse_id(reader.next().text, 0);
  if (first && last) {
    const client_id low = to_client({first->ms, first->seq}, slot);
    const client_id high = to_client({last->ms, last->seq}, slot);
    first_ = first_ ? std::min(*first_, low) : low;
    last_ = last_ ? std::max(*last_, high) : high;
  }
  for (std::size_t left = reader.next().elements; left > 0; --left) {
    reader.next();
    const std::string_view name = reader.next().text;
    consumers_[name] += base::parse_int64(reader.next().text).value_or(0);
  }
}

void pending_summary::write(resp::encoder& out) const {
  out.array(4);
  out.integer(total_);
  if (total_ == 0 || !first_) {
    out.null();
    out.null();
    return out.null_array();
  }
  out.bulk(to_string(*first_));
  out.bulk(to_string(*last_));
  out.array(consumers_.size());
  for (const auto& [name, count] : consumers_) {
    out.array(2);
    out.bulk(name);
    out.bulk(std::to_string(count));
  }
}

std::size_t pending_merge::add(std::string_view reply, int slot) {
  std::size_t omitted = 0;
  resp::reply_reader reader(reply);
  for (std::size_t left = reader.next().elements; left > 0; --left) {
    resp::reply_reader values(reader.skip());
    const std::size_t count = values.next().elements;
    const auto id = parse_id(values.next().text, 0);
    if (!id) continue;
    const bus_id stored{id->ms, id->seq};
    if (is_representable(stored)) {
      elements_.push_back({to_client(stored, slot), count, values.rest()});
    } else {
      ++omitted;
    }
  }
  return omitted;
}

void pending_merge::merge(std::uint64_t count) {
  std::sort(elements_.begin(), elements_.end(),
            [](const element& a, const element& b) { return a.id < b.id; });
  if (elements_.size() > count) elements_.resize(count);
}

void pending_merge::write(resp::encoder& out, base::chunk_queue& raw) const {
  out.array(elements_.size());
  for (const element& e : elements_) {
    out.array(e.values);
    char text[max_id_chars];
    out.bulk({text, write_id(text, e.id.ms, e.id.seq)});
    raw.append(e.rest);
  }
}

}  // namespace dualbus::stream
