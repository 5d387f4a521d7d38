#include "key_table.hpp"

#include "key_rows.hpp"

#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::config {
namespace {

constexpr section_row sections[] = {
    {.path = "listen",
     .meaning = "The addresses for clients. At least one of the port and the Unix socket must be open."},
    {.path = "admin", .meaning = "The HTTP listener for metrics, health and administration."},
    {.path = "control",
     .meaning =
         "The hand-over of the clients to a new process, which takes this one's place without any client "
         "noticing: see [availability.md](availability.md)."},
    {.path = "auth",
     .meaning = "Access to the daemon. Without users everybody may do everything. See "
                "[security.md](security.md)."},
    {.path = "auth.users",
     .meaning = "The users by name. A client is the user `default` until it logs in; unless that user is "
                "listed with "
                "`nopass: true`, it can do nothing before."},
    {.path = "auth.users.*"},
    {.path = "buses",
     .meaning =
         "The Redis servers behind the daemon, up to 16, by name. A name has up to 32 characters of `a-z`, "
         "`0-9`, `_` and `-`. At least one bus is active. The order in the file is the order in metrics and "
         "answers."},
    {.path = "buses.*"},
    {.path = "buses.*.acknowledge",
     .meaning =
         "Answers to writes that wait until other servers have the write, so that it outlives this one: see "
         "[Durable answers](availability.md#durable-answers). With `replicas: 0` and `local: 0` no answer "
         "waits."},
    {.path = "buses.*.sentinel"},
    {.path = "routing",
     .meaning =
         "Which bus a message or key belongs to. A rule for its key decides first, then the message's type, "
         "then the default bus."},
    {.path = "routing.types"},
    {.path = "routing.keys"},
    {.path = "routing.keys[]"},
    {.path = "routing.channels"},
    {.path = "routing.channels[]"},
    {.path = "backend",
     .meaning =
         "The connections to the buses. Nothing is sent twice: a request of which a byte was written before "
         "the connection broke is answered `BUSLOST`."},
    {.path = "limits", .meaning = "The resources that clients may use, and when clients are closed."},
    {.path = "missing_group",
     .shorthand = "action",
     .meaning = "How to treat consumer groups that do not exist. `missing_group: create` is short for "
                "`missing_group: {action: create}`."},
    {.path = "missing_group.rules",
     .meaning = "Exceptions, for some streams or some groups. The first rule that matches both decides."},
    {.path = "missing_group.rules[]"},
    {.path = "engines",
     .meaning =
         "Which engine a connection belongs to, for the metrics by engine: the one that the client names "
         "itself with `CLIENT SETNAME` or `HELLO … SETNAME`, else the one that its messages name, else the "
         "one that its consumer's name begins with: see [metrics.md](metrics.md#engines)."},
    {.path = "draining",
     .meaning =
         "When a bus with `state: draining` counts as drained, which the page `/drain` of the admin listener "
         "and metrics tell: see [draining.md](draining.md)."},
    {.path = "draining.ignore_groups",
     .example = "{key: orders, group: old-group}",
     .meaning = "Groups that hold no bus back."},
    {.path = "draining.ignore_groups[]"},
    {.path = "slowlog", .meaning = "Which requests `SLOWLOG GET` shows."},
    {.path = "log",
     .meaning = "Logging, one line per event, to standard error. If that is the journal of systemd, "
                "each line carries its priority, for `journalctl --priority`."},
};

std::vector<key_row> all_rows() {
  std::vector<key_row> all;
  for (const auto rows : {server_rows(), auth_rows(), bus_rows(), routing_rows(), limit_rows()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

template <typename Row>
const Row* find_in(std::span<const Row> rows, std::string_view path) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [path](const Row& row) { return row.path == path; });
  return found == rows.end() ? nullptr : &*found;
}

// The first name, `*` or `[]` of `path` behind `section`; empty if it does not lie in there.
std::string_view child_in(std::string_view path, std::string_view section) {
  if (!path.starts_with(section) || path.size() == section.size()) return {};
  path.remove_prefix(section.size());
  if (path.starts_with("[]")) return path.substr(0, 2);
  if (!section.empty()) {
    if (path.front() != '.') return {};
    path.remove_prefix(1);
  }
  return path.substr(0, path.find_first_of(".["));
}

std::string bound(const key_row& row, std::int64_t amount) {
  if (row.type == value_type::bytes) return format_bytes(amount);
  if (row.type == value_type::duration) return format_duration(microseconds(amount));
  return std::to_string(amount);
}

std::string not_this(const key_row& row, std::string_view text) {
  return may_be_secret(row.path) ? "; what stands there is not repeated, it may be a password"
                                 : ", not " + quoted(text);
}

std::string out_of_range(const key_row& row, std::string_view text) {
  return "must be between " + bound(row, row.range.low) + " and " + bound(row, row.range.high) +
         not_this(row, text);
}

std::string read_amount(const key_row& row, std::string_view text, std::optional<std::int64_t> amount,
                        std::string_view expected, value& out) {
  if (!amount) return "must be " + std::string(expected) + not_this(row, text);
  if (*amount < row.range.low || *amount > row.range.high) return out_of_range(row, text);
  if (*amount % row.range.step != 0) {
    return "must be a multiple of " + bound(row, row.range.step) + not_this(row, text);
  }
  out.number = *amount;
  return {};
}

std::string read_integer(const key_row& row, std::string_view text, value& out) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.size() > 1 && digits.find_first_not_of("0123456789") == std::string_view::npos) {
    if (digits.front() == '0') return "must be an integer without leading zeros" + not_this(row, text);
    if (!base::parse_int64(text)) return out_of_range(row, text);
  }
  return read_amount(row, text, base::parse_int64(text), "an integer", out);
}

std::string read_text(const key_row& row, std::string_view text, value& out) {
  const auto length = static_cast<std::int64_t>(text.size());
  if (text.empty() && row.range.low > 0) return "must not be empty";
  if (length < row.range.low || length > row.range.high) {
    return "must have at most " + std::to_string(row.range.high) + " bytes, not " + std::to_string(length);
  }
  out.text = text;
  return {};
}

std::string read_choice(const key_row& row, std::string_view text, value& out) {
  const std::vector<std::string_view> choices = choices_of(row);
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found == choices.end()) return "must be one of " + joined(choices, ", ") + not_this(row, text);
  out.number = found - choices.begin();
  out.text = text;
  return {};
}

std::string wanted(const key_row& row, std::string_view expected, std::string_view text) {
  return "must be " + std::string(expected) + not_this(row, text);
}

}  // namespace

std::span<const key_row> key_rows() {
  static const std::vector<key_row> all = all_rows();
  return all;
}

std::span<const section_row> section_rows() {
  return sections;
}

const key_row* find_row(std::string_view path) {
  return find_in(key_rows(), path);
}
const section_row* find_section(std::string_view path) {
  return find_in(section_rows(), path);
}

std::vector<std::string_view> children_of(std::string_view section) {
  std::vector<std::string_view> children;
  for (const key_row& row : key_rows()) {
    const std::string_view child = child_in(row.path, section);
    if (!child.empty() && std::find(children.begin(), children.end(), child) == children.end()) {
      children.push_back(child);
    }
  }
  return children;
}

std::string child_path(std::string_view section, std::string_view child) {
  std::string path(section);
  if (!section.empty() && !child.starts_with('[')) path += '.';
  return path.append(child);
}

// A misplaced password stands where users or a bus should be. A file that is one scalar may be the file of a
// password.
bool may_be_secret(std::string_view path) {
  return path.empty() || path == "auth" || path.starts_with("auth.users") || path == "buses" ||
         path == "buses.*" || path == "buses.*.username" || path.starts_with("buses.*.password") ||
         path == "buses.*.sentinel" || path == "buses.*.sentinel.username" ||
         path.starts_with("buses.*.sentinel.password");
}

std::string read_scalar(const key_row& row, std::string_view text, value& out) {
  switch (row.type) {
    case value_type::text:
    case value_type::text_list:
      return read_text(row, text, out);
    case value_type::bus:
      out.text = text;
      return {};
    case value_type::integer:
      return read_integer(row, text, out);
    case value_type::bytes:
      return read_amount(row, text, parse_bytes(text), "a number of bytes such as 10000, 64kb, 64mb or 1gb",
                         out);
    case value_type::duration: {
      const auto duration = parse_duration(text);
      return read_amount(row, text, duration ? std::optional(duration->count()) : std::nullopt,
                         "a duration such as 500us, 1ms, 1s or 5m", out);
    }
    case value_type::mode: {
      const auto mode = parse_mode(text);
      if (!mode) return wanted(row, "octal permissions such as \"0700\"", text);
      out.number = *mode;
      return {};
    }
    case value_type::choice:
      return read_choice(row, text, out);
    case value_type::address:
      out.text = text;
      return is_numeric_address(text) ? "" : wanted(row, "a numeric IPv4 or IPv6 address", text);
    case value_type::socket_path:
      if (!text.empty() && text.front() != '/') return wanted(row, "an absolute path", text);
      return read_text(row, text, out);
    case value_type::pointer:
      if (!is_json_pointer(text)) return wanted(row, "a JSON pointer such as /meta/type", text);
      return read_text(row, text, out);
    case value_type::endpoint:
    case value_type::endpoint_list: {
      endpoint where;
      out.text = text;
      return parse_endpoint(text, where);
    }
  }
  return {};
}

std::vector<std::string_view> choices_of(const key_row& row) {
  std::vector<std::string_view> choices;
  for (std::string_view rest = row.choices; !rest.empty();) {
    const std::size_t end = std::min(rest.find('|'), rest.size());
    choices.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return choices;
}

std::string range_of(const key_row& row) {
  switch (row.type) {
    case value_type::integer:
    case value_type::bytes:
    case value_type::duration: {
      std::string range = bound(row, row.range.low) + " to " + bound(row, row.range.high);
      if (row.type == value_type::duration) range += " in steps of " + bound(row, row.range.step);
      return range;
    }
    case value_type::text:
    case value_type::text_list:
    case value_type::socket_path:
    case value_type::pointer:
      return "up to " + std::to_string(row.range.high) + " bytes";
    default:
      return {};
  }
}

}  // namespace dualbus::config
