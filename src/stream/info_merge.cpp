#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/info_merge.hpp>
#include <dualbus/stream/pending_merge.hpp>
#include <dualbus/stream/range_merge.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

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
  return position_to_client({id->ms, id->seq}, slot);
}

std::optional<std::int64_t> sum_or_null(const views& all, std::string_view field) {
  std::int64_t sum = 0;
  for (const description& v : all) {
    const auto value = resp::as_integer(v.fields[field]);
    if (!value) return std::nullopt;
    sum = base::add_saturated(sum, *value);
  }
  return sum;
}

std::int64_t sum(const views& all, std::string_view field) {
  std::int64_t result = 0;
  for (const description& v : all)
    result = base::add_saturated(result, resp::as_integer(v.fields[field]).value_or(0));
  return result;
}

/// The largest value, -1 if none is larger.
std::int64_t largest(const views& all, std::string_view field) {
  std::int64_t result = -1;
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

std::int64_t length_of(const description& stream) {
  return std::max<std::int64_t>(0, resp::as_integer(stream.fields["length"]).value_or(0));
}

/// The number of entries that a stream once had and that no new group will read.
std::int64_t gone_from(const description& stream) {
  return std::max<std::int64_t>(
      0, resp::as_integer(stream.fields["entries-added"]).value_or(0) - length_of(stream));
}

/// The position up to which a group has got everything: the smallest of the buses that have something left.
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

// The smallest or largest of the buses' first or last entries. One without a client form is none.
void write_edge_entry(const views& all, std::string_view field, bool last, resp::encoder& out,
                      base::chunk_queue& raw) {
  std::optional<client_id> best;
  std::string_view fields;
  for (const description& v : all) {
    resp::reply_reader reader(v.fields[field]);
    const resp::reply_value entry = reader.next();
    if (entry.type != '*' || entry.elements != 2) continue;
    const auto id = parse_id(reader.next().text, 0);
    const auto shown = id ? entry_to_client({id->ms, id->seq}, v.slot) : std::nullopt;
    if (!shown || (best && (last ? *shown < *best : *best < *shown))) continue;
    const auto behind = reader.last(1);
    if (!behind) continue;
    best = shown;
    fields = *behind;
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

bool info_merge::add_by_name(std::string_view array, int slot, named& out) {
  resp::reply_reader reader(array);
  const resp::reply_value header = reader.next();
  if (header.type != '*' || header.null) return false;
  for (std::size_t left = header.elements; left > 0; --left) {
    description v{slot, field_list(reader.skip())};
    if (!v.fields.has("name")) return false;
    const std::string_view name = text_of(v.fields["name"]);
    out[name].push_back(std::move(v));
  }
  return true;
}

bool info_merge::add_group_list(std::string_view array, int slot, bus_role role) {
  named found;
  if (!add_by_name(array, slot, found)) return false;
  for (auto& [name, on] : found) {
    group& g = groups_[name];
    g.exists |= role != bus_role::other;
    for (description& v : on) g.on.push_back(std::move(v));
  }
  return true;
}

bool info_merge::add_stream(std::string_view reply, int slot, bus_role role) {
  description v{slot, field_list(reply)};
  if (!v.fields.has("length")) return false;
  const std::string_view groups = v.fields["groups"];
  if (const auto count = resp::as_integer(groups)) {
    if (role != bus_role::other && *count > 0)
      groups_on_one_ = std::max(groups_on_one_, static_cast<std::size_t>(*count));
  } else if (v.fields.has("groups") && !add_group_list(groups, slot, role)) {
    return false;
  }
  streams_.push_back(std::move(v));
  roles_.push_back(role);
  return true;
}

bool info_merge::add_groups(std::string_view reply, int slot, bus_role role) {
  return add_group_list(reply, slot, role);
}

bool info_merge::add_consumers(std::string_view reply, int slot) {
  return add_by_name(reply, slot, consumers_);
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

std::vector<const description*> info_merge::untouched_by(const group& g) const {
  std::vector<const description*> result;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const auto is_here = [&](const description& part) { return part.slot == streams_[i].slot; };
    if (roles_[i] != bus_role::draining && std::none_of(g.on.begin(), g.on.end(), is_here))
      result.push_back(&streams_[i]);
  }
  return result;
}

// --- writing

// The fields of groups that are worked out in the same way wherever they are shown. On a bus where the group
// is yet to be created all entries are undelivered, and they count as Redis counts them for a group at the
// beginning of a stream.
bool info_merge::write_progress(const group& g, std::string_view name, resp::encoder& out) const {
  const std::vector<const description*> untouched = untouched_by(g);
  if (name == "last-delivered-id") {
    const bool behind = std::any_of(untouched.begin(), untouched.end(),
                                    [](const description* stream) { return length_of(*stream) > 0; });
    out.bulk(to_string(behind ? client_id{} : delivered(g.on)));
  } else if (name == "entries-read" || name == "lag") {
    std::optional<std::int64_t> total = sum_or_null(g.on, name);
    for (const description* stream : untouched) {
      if (total) total = base::add_saturated(*total, name == "lag" ? length_of(*stream) : gone_from(*stream));
    }
    write_number_or_null(total, out);
  } else if (name == "pel-count") {
    out.integer(sum(g.on, name));
  } else {
    return false;
  }
  return true;
}

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
  if (no_stream()) return out.map(0);
  const field_list& shape = streams_.front().fields;
  out.map(shape.size());
  for (const auto& [name, value] : shape) {
    out.bulk(name);
    if (name == "groups") {
      out.integer(static_cast<std::int64_t>(std::max(existing_groups(), groups_on_one_)));
    } else if (name == "first-entry" || name == "last-entry") {
      write_edge_entry(streams_, name, name == "last-entry", out, raw);
    } else if (!write_common_field(name, out)) {
      raw.append(value);
    }
  }
}

void info_merge::write_full(std::uint64_t count, resp::encoder& out, base::chunk_queue& raw) const {
  if (no_stream()) return out.map(0);
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
        if (g.exists) write_full_group(g, count, out, raw);
      }
    } else if (!write_common_field(name, out)) {
      raw.append(value);
    }
  }
}

void info_merge::write_full_group(const group& g, std::uint64_t count, resp::encoder& out,
                                  base::chunk_queue& raw) const {
  const views& on = g.on;
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
    } else if (!write_progress(g, name, out)) {
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
      write_progress(g, field, out);
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
