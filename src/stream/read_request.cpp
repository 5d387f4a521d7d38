#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/read_request.hpp>

#include <algorithm>
#include <limits>

namespace dualbus::stream {
namespace {

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();

constexpr std::string_view invalid_id = "ERR Invalid stream ID specified as stream command argument";

std::string_view parse_block(std::string_view text, read_request& out) {
  const auto value = base::parse_int64(text);
  if (!value) return "ERR timeout is not an integer or out of range";
  if (*value < 0) return "ERR timeout is negative";
  out.block = std::chrono::milliseconds(*value);
  return {};
}

std::string_view parse_count(std::string_view text, read_request& out) {
  const auto value = base::parse_int64(text);
  if (!value) return "ERR value is not an integer or out of range";
  // More than any stream holds is no limit, and leaves room to ask for more than that.
  out.count = static_cast<std::uint64_t>(std::clamp<std::int64_t>(*value, 0, std::int64_t{1} << 48));
  return {};
}

std::string_view parse_position(std::string_view text, bool group, read_request::key& out) {
  using enum read_request::position;
  const std::string_view word = base::as_c_string(text);
  if (word == "$") {
    if (group) {
      return "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this "
             "consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just "
             "return an empty result set.";
    }
    out.from = newest;
  } else if (word == ">") {
    if (!group) {
      return "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> "
             "option.";
    }
    out.from = fresh;
  } else if (word == "+" && !group) {
    out.from = last;
  } else {
    const auto id = parse_id(text, 0);
    if (!id) return invalid_id;
    out.id = {id->ms, id->seq};
    // Redis knows `>` as the largest ID.
    if (group && id->ms == max_number && id->seq == max_number) out.from = fresh;
  }
  return {};
}

}  // namespace

read_request parse_read(const command::command_spec& spec, resp::arguments args) {
  read_request out;
  const bool group = spec.has(command::fact::reads_group);
  std::size_t first = 0;
  for (std::size_t i = 1; i < args.size() && first == 0 && out.error.empty(); ++i) {
    const std::size_t more = args.size() - i - 1;
    const auto is = [&](std::string_view name) { return base::is_word(args[i], name); };
    if (is("block") && more > 0) {
      out.error = parse_block(args[++i], out);
    } else if (is("count") && more > 0) {
      out.error = parse_count(args[++i], out);
    } else if (is("streams") && more > 0) {
      first = i + 1;
      if (more % 2 != 0) {
        out.error =
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
      }
    } else if (is("group") && more >= 2) {
      if (!group) {
        out.error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
      }
      out.group = args[i + 1];
      out.consumer = args[i + 2];
      i += 2;
    } else if (is("noack")) {
      if (!group) {
        out.error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
      }
      out.no_ack = true;
    } else if (is("claim") && group && more > 0) {
      out.unsupported = args[i++];
    } else {
      out.error = "ERR syntax error";
    }
  }
  if (!out.error.empty()) return out;
  if (first == 0) {
    out.error = "ERR syntax error";
  } else if (group && !out.group) {
    out.error = "ERR Missing GROUP option for XREADGROUP";
  }
  if (!out.error.empty()) return out;
  const std::size_t count = (args.size() - first) / 2;
  for (std::size_t i = 0; i < count; ++i) {
    read_request::key& key = out.keys.emplace_back();
    key.name = args[first + i];
    if (out.faulty_key) continue;
    out.error = parse_position(args[first + count + i], group, key);
    if (!out.error.empty()) out.faulty_key = i;
  }
  return out;
}

std::uint64_t entries_in(std::string_view reply) {
  resp::reply_reader reader(reply);
  const resp::reply_value keys = reader.next();
  std::uint64_t count = 0;
  for (std::size_t left = keys.elements; left > 0; --left) {
    if (keys.type == '*') reader.next();  // the pair
    reader.next();                        // the key's name
    resp::reply_reader entries = reader;
    count += entries.next().elements;
    if (left > 1) reader.skip();
  }
  return count;
}

}  // namespace dualbus::stream
