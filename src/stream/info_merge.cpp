#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/info_merge.hpp>
#include <dualbus/stream/pending_merge.hpp>
#include <dualbus/stream/range_merge.hpp>

#include <algorithm>
#include <limits>
#include <string>

namespace dualbus::stream {
namespace {

using views = std::vector<description>;

std::string_view text_of(std::string_view encoded) {
  return resp::reply_reader(encoded).next().text;
}

/// The client form of a position; nothing if it is none.
std::optional<client_id> position_of(std::string_view encoded, int slot) {
  const auto id = parse_id(text_of(encoded), 0);
  if (!id) return std::nullopt;
  return to_client({id->ms, id->seq}, slot);
}

std::optional<std::int64_t> sum_or_null(const views& all, std::string_view field) {
  std::int64_t sum = 0;
  for (const description& v : all) {
    const auto value = resp::as_integer(v.fields[field]);
    if (!value) return std::nullopt;
    sum += *value;
  }
  return sum;
}

std::int64_t sum(const views& all, std::string_view field) {
  std::int64_t result = 0;
  for (const description& v : all) result += resp::as_integer(v.fields[field]).value_or(0);
  return result;
}

std::int64_t largest(const views& all, std::string_view field) {
  std::int64_t result = std::numeric_limits<std::int64_t>::min();
  for (const description& v : all)
    result = std::max(result, resp::as_integer(v.fields[field]).value_or(result));
  return result;
}

/// The smallest value that is not negative, else -1.
std::int64_t smallest(const views& all, std::string_view field) {
  std::int64_t result = -1;
  for (const description& v : all) {
    const std::int64_t value = resp::as_integer(v.fields[field]).value_or(-1);
    if (value >= 0 && (result < 0 || value < result)) result = value;
  }
  return result;
}

client_id largest_position(const views& all, std::string_view field) {
  client_id result;
  for (const description& v : all)
    result = std::max(result, position_of(v.fields[field], v.slot).value_or(client_id{}));
  return result;
}

/// 0-0 stands for none.
client_id smallest_position(const views& all, std::string_view field) {
  client_id result;
  for (const description& v : all) {
    const client_id id = position_of(v.fields[field], v.slot).value_or(client_id{});
    if (id != client_id{} && (result == client_id{} || id < result)) result = id;
  }
  return result;
}

/// Up to where a group has got everything: no bus that has something left is behind it.
client_id delivered(const views& all) {
  std::optional<client_id> behind;
  for (const description& v : all) {
    if (resp::as_integer(v.fields["lag"]) == 0) continue;
    const client_id id = position_of(v.fields["last-delivered-id"], v.slot).value_or(client_id{});
    behind = behind ? std::min(*behind, id) : id;
  }
  return behind ? *behind : largest_position(all, "last-delivered-id");
}

void write_number_or_null(std::optional<std::int64_t> value, resp::encoder& out) {
  if (value) return out.integer(*value);
  out.null();
}

// The fields of groups that are worked out in the same way wherever they are shown.
bool write_progress(const views& all, std::string_view name, resp::encoder& out) {
  if (name == "last-delivered-id") {
    out.bulk(to_string(delivered(all)));
  } else if (name == "entries-read" || name == "lag") {
    write_number_or_null(sum_or_null(all, name), out);
  } else if (name == "pel-count") {
    out.integer(sum(all, name));
  } else {
    return false;
  }
  return true;
}

// The smallest or largest of the buses' first or last entries. One without a client form is none.
void write_edge_entry(const views& all, std::string_view field, bool last, resp::encoder& out,
                      base::chunk_queue& raw) {
  std::optional<client_id> best;
  std::string_view fields;
  for (const description& v : all) {
    resp::reply_reader reader(v.fields[field]);
    if (reader.done() || !reader.next().is_aggregate() || reader.done()) continue;
    const auto id = parse_id(reader.next().text, 0);
    if (!id || !is_representable({id->ms, id->seq})) continue;
    const client_id shown = to_client({id->ms, id->seq}, v.slot);
    if (best && (last ? shown < *best : *best < shown)) continue;
    best = shown;
    fields = reader.rest();
  }
  if (!best) return out.null();
  out.array(2);
  out.bulk(to_string(*best));
  raw.append(fields);
}

void write_pending(const views& all, std::uint64_t count, resp::encoder& out, base::chunk_queue& raw) {
  pending_merge merged;
  for (const description& v : all) merged.add(v.fields["pending"], v.slot);
  merged.merge(count == 0 ? std::numeric_limits<std::uint64_t>::max() : count);
  merged.write(out, raw);
}

}  // namespace

field_list::field_list(std::string_view encoded) {
  resp::reply_reader reader(encoded);
  const resp::reply_value header = reader.next();
  if (!header.is_aggregate()) return;
  for (std::size_t left = header.type == '%' ? header.elements : header.elements / 2; left > 0; --left) {
    const std::string_view name = reader.next().text;
    const std::string_view value = reader.skip();
    if (value.empty()) return;
    fields_.emplace_back(name, value);
  }
}

std::string_view field_list::operator[](std::string_view name) const {
  const auto found =
      std::find_if(fields_.begin(), fields_.end(), [&](const auto& f) { return f.first == name; });
  return found == fields_.end() ? std::string_view() : found->second;
}

// --- taking replies in
// ------------------------------------------------------------------------------------------------

void info_merge::add_by_name(std::string_view array, int slot, named& out) {
  resp::reply_reader reader(array);
  for (std::size_t left = array.empty() ? 0 : reader.next().elements; left > 0; --left) {
    description v{slot, field_list(reader.skip())};
    const std::string_view name = text_of(v.fields["name"]);
    out[name].push_back(std::move(v));
  }
}

void info_merge::add_group_list(std::string_view array, int slot, bool decides) {
  named found;
  add_by_name(array, slot, found);
  for (auto& [name, on] : found) {
    group& g = groups_[name];
    g.exists |= decides;
    for (description& v : on) g.on.push_back(std::move(v));
  }
}

void info_merge::add_stream(std::string_view reply, int slot, bool decides) {
  streams_.push_back({slot, field_list(reply)});
  const std::string_view groups = streams_.back().fields["groups"];
  if (!groups.empty() && resp::reply_reader(groups).next().is_aggregate())
    add_group_list(groups, slot, decides);
}

void info_merge::add_groups(std::string_view reply, int slot, bool decides) {
  add_group_list(reply, slot, decides);
}

void info_merge::add_consumers(std::string_view reply, int slot) {
  add_by_name(reply, slot, consumers_);
}

info_merge::named info_merge::by_name(const views& owners, std::string_view field) {
  named result;
  for (const description& v : owners) add_by_name(v.fields[field], v.slot, result);
  return result;
}

std::size_t info_merge::existing_groups() const {
  return static_cast<std::size_t>(
      std::count_if(groups_.begin(), groups_.end(), [](const auto& g) { return g.second.exists; }));
}

// --- writing
// ----------------------------------------------------------------------------------------------------------

bool info_merge::write_common_field(std::string_view name, resp::encoder& out) const {
  if (name == "length" || name == "entries-added" || name.starts_with("radix-tree-")) {
    out.integer(sum(streams_, name));
  } else if (name == "last-generated-id" || name == "max-deleted-entry-id") {
    out.bulk(to_string(largest_position(streams_, name)));
  } else if (name == "recorded-first-entry-id") {
    out.bulk(to_string(smallest_position(streams_, name)));
  } else {
    return false;
  }
  return true;
}

void info_merge::write_stream(resp::encoder& out, base::chunk_queue& raw) const {
  const field_list& shape = streams_.front().fields;
  out.map(shape.size());
  for (const auto& [name, value] : shape) {
    out.bulk(name);
    if (name == "groups") {
      out.integer(static_cast<std::int64_t>(existing_groups()));
    } else if (name == "first-entry" || name == "last-entry") {
      write_edge_entry(streams_, name, name == "last-entry", out, raw);
    } else if (!write_common_field(name, out)) {
      raw.append(value);
    }
  }
}

void info_merge::write_full(std::uint64_t count, resp::encoder& out, base::chunk_queue& raw) const {
  const field_list& shape = streams_.front().fields;
  out.map(shape.size());
  for (const auto& [name, value] : shape) {
    out.bulk(name);
    if (name == "entries") {
      range_merge merged(false, count == 0 ? std::nullopt : std::optional(count));
      for (const description& v : streams_) merged.add(v.fields[name], v.slot);
      merged.merge();
      merged.write(out, raw);
    } else if (name == "groups") {
      out.array(existing_groups());
      for (const auto& [_, g] : groups_) {
        if (g.exists) write_full_group(g.on, count, out, raw);
      }
    } else if (!write_common_field(name, out)) {
      raw.append(value);
    }
  }
}

void info_merge::write_full_group(const views& on, std::uint64_t count, resp::encoder& out,
                                  base::chunk_queue& raw) {
  const field_list& shape = on.front().fields;
  out.map(shape.size());
  for (const auto& [name, value] : shape) {
    out.bulk(name);
    if (name == "pending") {
      write_pending(on, count, out, raw);
    } else if (name == "consumers") {
      const named consumers = by_name(on, name);
      out.array(consumers.size());
      for (const auto& [_, c] : consumers) write_full_consumer(c, count, out, raw);
    } else if (!write_progress(on, name, out)) {
      raw.append(value);
    }
  }
}

void info_merge::write_full_consumer(const views& on, std::uint64_t count, resp::encoder& out,
                                     base::chunk_queue& raw) {
  const field_list& shape = on.front().fields;
  out.map(shape.size());
  for (const auto& [name, value] : shape) {
    out.bulk(name);
    if (name == "seen-time" || name == "active-time") {
      out.integer(largest(on, name));
    } else if (name == "pel-count") {
      out.integer(sum(on, name));
    } else if (name == "pending") {
      write_pending(on, count, out, raw);
    } else {
      raw.append(value);
    }
  }
}

void info_merge::write_groups(resp::encoder& out) const {
  constexpr std::string_view progress[] = {"last-delivered-id", "entries-read", "lag"};
  out.array(existing_groups());
  for (const auto& [name, g] : groups_) {
    if (!g.exists) continue;
    out.map(6);
    out.bulk("name");
    out.bulk(name);
    out.bulk("consumers");
    out.integer(static_cast<std::int64_t>(by_name(g.on, "consumers").size()));
    out.bulk("pending");
    out.integer(sum(g.on, "pel-count"));
    for (const std::string_view field : progress) {
      out.bulk(field);
      write_progress(g.on, field, out);
    }
  }
}

void info_merge::write_consumers(resp::encoder& out, base::chunk_queue& raw) const {
  out.array(consumers_.size());
  for (const auto& [_, on] : consumers_) {
    const field_list& shape = on.front().fields;
    out.map(shape.size());
    for (const auto& [name, value] : shape) {
      out.bulk(name);
      if (name == "pending") {
        out.integer(sum(on, name));
      } else if (name == "idle" || name == "inactive") {
        out.integer(smallest(on, name));
      } else {
        raw.append(value);
      }
    }
  }
}

}  // namespace dualbus::stream
