#include "stream_replies.hpp"

#include "info_parser.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace dualbus::admin {
namespace {

using resp::reply_reader;
using resp::reply_value;
using std::chrono::milliseconds;

std::optional<stream::bus_id> id_in(const reply_value& value) {
  if (!value.is_string()) return {};
  const auto parsed = stream::parse_id(value.text, 0);
  if (!parsed) return {};
  return stream::bus_id{parsed->ms, parsed->seq};
}

std::optional<std::uint64_t> count_in(const reply_value& value) {
  if (!value.is_integer() || value.number < 0) return {};
  return static_cast<std::uint64_t>(value.number);
}

milliseconds since(const reply_value& then, std::uint64_t now_ms) {
  const std::uint64_t ms = count_in(then).value_or(now_ms);
  return milliseconds(now_ms - std::min(ms, now_ms));
}

// Calls read(reader) for each element of an array; false if there is no array or a call returns false.
template <typename Read>
bool each_element(reply_reader& reader, Read&& read) {
  const reply_value header = reader.next();
  if (header.type != '*' || header.null) return false;
  for (std::size_t left = header.elements; left > 0; --left) {
    if (!read(reader)) return false;
  }
  return true;
}

// Calls read(name, reader) for each name and value; `read` must consume the value.
template <typename Read>
bool each_field(reply_reader& reader, Read&& read) {
  const reply_value header = reader.next();
  if (header.type != '*' || header.null || header.elements % 2 != 0) return false;
  for (std::size_t left = header.elements / 2; left > 0; --left) {
    const reply_value name = reader.next();
    if (!name.is_string() || !read(name.text, reader)) return false;
  }
  return true;
}

template <typename T>
bool keep(std::optional<T> value, T& out) {
  if (!value) return false;
  out = *value;
  return true;
}

bool keep_text(const reply_value& value, std::string& out) {
  if (!value.is_string()) return false;
  out = value.text;
  return true;
}

// [ID, consumer, delivery time, deliveries]: reads the first element of the list, which COUNT limits.
bool read_pending_list(reply_reader& reader, std::uint64_t now_ms,
                       std::optional<drain_group::pending_entry>& first) {
  return each_element(reader, [&](reply_reader& r) {
    if (first) return !r.skip().empty();
    const reply_value header = r.next();
    if (header.type != '*' || header.elements != 4) return false;
    drain_group::pending_entry entry;
    if (!keep(id_in(r.next()), entry.id) || !keep_text(r.next(), entry.consumer)) return false;
    entry.idle = since(r.next(), now_ms);
    if (!keep(count_in(r.next()), entry.deliveries)) return false;
    first = std::move(entry);
    return true;
  });
}

bool read_consumer(reply_reader& reader, std::uint64_t now_ms, drain_group& group) {
  milliseconds idle{0};
  std::uint64_t pending = 0;
  const bool good = each_field(reader, [&](std::string_view name, reply_reader& r) {
    if (name == "seen-time") {
      idle = since(r.next(), now_ms);
      return true;
    }
    if (name == "pel-count") return keep(count_in(r.next()), pending);
    return !r.skip().empty();
  });
  if (pending > 0) group.consumer_idle = std::min(idle, group.consumer_idle.value_or(idle));
  return good;
}

bool read_group(reply_reader& reader, std::uint64_t now_ms, drain_group& group) {
  return each_field(reader, [&](std::string_view name, reply_reader& r) {
    if (name == "name") return keep_text(r.next(), group.name);
    if (name == "last-delivered-id") return keep(id_in(r.next()), group.position);
    if (name == "pel-count") return keep(count_in(r.next()), group.pending);
    if (name == "lag") {
      group.lag = count_in(r.next());
      return true;
    }
    if (name == "pel" || name == "pending") return read_pending_list(r, now_ms, group.first_pending);
    if (name == "consumers") {
      return each_element(r, [&](reply_reader& inner) { return read_consumer(inner, now_ms, group); });
    }
    return !r.skip().empty();
  });
}

}  // namespace

std::optional<drain_stream> read_stream(std::string_view reply, std::uint64_t now_ms) {
  reply_reader reader(reply);
  drain_stream found;
  bool complete = false;
  const bool good = each_field(reader, [&](std::string_view name, reply_reader& r) {
    if (name == "length") return keep(count_in(r.next()), found.length);
    if (name == "last-generated-id") return complete = keep(id_in(r.next()), found.last_generated);
    if (name == "groups") {
      return each_element(
          r, [&](reply_reader& inner) { return read_group(inner, now_ms, found.groups.emplace_back()); });
    }
    return !r.skip().empty();
  });
  if (!good || !complete) return {};
  return found;
}

namespace {

// The text that each map in an array has under `wanted`.
std::optional<std::vector<std::string>> read_names(std::string_view reply, std::string_view wanted) {
  reply_reader reader(reply);
  std::vector<std::string> names;
  const bool good = each_element(reader, [&](reply_reader& r) {
    return each_field(r, [&](std::string_view name, reply_reader& inner) {
      if (name == wanted) return keep_text(inner.next(), names.emplace_back());
      return !inner.skip().empty();
    });
  });
  if (!good) return {};
  return names;
}

}  // namespace

std::optional<std::vector<std::string>> read_group_names(std::string_view reply) {
  return read_names(reply, "name");
}

std::optional<std::vector<std::string>> read_library_names(std::string_view reply) {
  return read_names(reply, "library_name");
}

std::optional<std::uint64_t> read_pending_total(std::string_view reply) {
  reply_reader reader(reply);
  if (reader.next().type != '*') return {};
  return count_in(reader.next());
}

std::optional<range_start> read_range_start(std::string_view reply) {
  reply_reader reader(reply);
  range_start found;
  const bool good = each_element(reader, [&](reply_reader& r) {
    const reply_value entry = r.next();
    if (entry.type != '*' || entry.elements != 2) return false;
    const auto id = id_in(r.next());
    if (!found.first) found.first = id;
    return id.has_value() && !r.skip().empty();
  });
  if (!good) return {};
  return found;
}

std::optional<scan_page> read_scan_page(std::string_view reply) {
  reply_reader reader(reply);
  scan_page page;
  const reply_value header = reader.next();
  if (header.type != '*' || header.elements != 2 || !keep_text(reader.next(), page.cursor)) return {};
  const bool good =
      each_element(reader, [&](reply_reader& r) { return keep_text(r.next(), page.keys.emplace_back()); });
  if (!good) return {};
  return page;
}

std::optional<std::vector<int>> read_databases(std::string_view reply) {
  const reply_value info = reply_reader(reply).next();
  if (!info.is_string()) return {};
  std::vector<int> databases;
  for (std::string_view rest = info.text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const std::size_t colon = line.find(':');
    if (!line.starts_with("db") || colon == std::string_view::npos) continue;
    const auto number = base::parse_uint64(line.substr(2, colon - 2));
    if (number && *number <= std::numeric_limits<int>::max()) databases.push_back(static_cast<int>(*number));
  }
  return databases;
}

std::string read_run_id(std::string_view reply) {
  const reply_value info = reply_reader(reply).next();
  return info.is_string() ? parse_info(info.text).run_id : std::string();
}

std::optional<std::uint64_t> read_time_ms(std::string_view reply) {
  reply_reader reader(reply);
  const reply_value header = reader.next();
  if (header.type != '*' || header.elements != 2) return {};
  std::string seconds, microseconds;
  if (!keep_text(reader.next(), seconds) || !keep_text(reader.next(), microseconds)) return {};
  const auto whole = base::parse_uint64(seconds), rest = base::parse_uint64(microseconds);
  if (!whole || !rest) return {};
  return *whole * 1000 + *rest / 1000;
}

std::string_view error_in(std::string_view reply) {
  const reply_value value = reply_reader(reply).next();
  return value.is_error() ? value.text : std::string_view();
}

}  // namespace dualbus::admin
