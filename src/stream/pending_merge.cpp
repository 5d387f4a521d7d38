#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/pending_merge.hpp>

#include <algorithm>
#include <string>

namespace dualbus::stream {

bool pending_summary::add(std::string_view reply, int slot) {
  resp::reply_reader reader(reply);
  if (reader.next().elements != 4) return false;
  total_ = base::add_saturated(total_, reader.next().number);
  const auto first = parse_id(reader.next().text, 0), last = parse_id(reader.next().text, 0);
  if (first && last) {
    const client_id low = position_to_client({first->ms, first->seq}, slot);
    const client_id high = position_to_client({last->ms, last->seq}, slot);
    first_ = first_ ? std::min(*first_, low) : low;
    last_ = last_ ? std::max(*last_, high) : high;
  }
  for (std::size_t left = reader.next().elements; left > 0; --left) {
    reader.next();
    const std::string_view name = reader.next().text;
    std::int64_t& count = consumers_[name];
    count = base::add_saturated(count, base::parse_int64(reader.next().text).value_or(0));
  }
  return true;
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

std::optional<std::size_t> pending_merge::add(std::string_view reply, int slot) {
  std::size_t omitted = 0;
  resp::reply_reader reader(reply);
  const resp::reply_value header = reader.next();
  if (header.type != '*' || header.null) return std::nullopt;
  for (std::size_t left = header.elements; left > 0; --left) {
    resp::reply_reader values(reader.skip());
    const resp::reply_value head = values.next();
    const std::size_t count = head.elements;
    const auto id = parse_id(values.next().text, 0);
    const auto rest = count > 0 ? values.last(count - 1) : std::nullopt;
    if (head.type != '*' || !id || !rest) continue;
    if (const auto shown = entry_to_client({id->ms, id->seq}, slot)) {
      elements_.push_back({*shown, count, *rest});
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
