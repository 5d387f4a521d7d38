#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/absent_key.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace dualbus::command {
namespace {

enum class operand : std::uint8_t {
  none,
  time,      // a number, and perhaps a condition
  property,  // an argument about the value, before the key
  usage      // USAGE, before the key
};

struct row {
  std::string_view name;
  operand takes;
  std::string_view reply;  // empty: null
};

constexpr row rows[] = {
    {"del", operand::none, ":0\r\n"},         {"unlink", operand::none, ":0\r\n"},
    {"exists", operand::none, ":0\r\n"},      {"touch", operand::none, ":0\r\n"},
    {"persist", operand::none, ":0\r\n"},     {"type", operand::none, "+none\r\n"},
    {"ttl", operand::none, ":-2\r\n"},        {"pttl", operand::none, ":-2\r\n"},
    {"expiretime", operand::none, ":-2\r\n"}, {"pexpiretime", operand::none, ":-2\r\n"},
    {"expire", operand::time, ":0\r\n"},      {"pexpire", operand::time, ":0\r\n"},
    {"expireat", operand::time, ":0\r\n"},    {"pexpireat", operand::time, ":0\r\n"},
    {"object", operand::property, {}},        {"memory", operand::usage, {}},
};

// Redis takes any time that this permits, in seconds or milliseconds.
bool is_sound_time(std::string_view text) {
  constexpr std::int64_t longest = 1'000'000'000'000;
  const auto number = base::parse_int64(text);
  return number && *number >= -longest && *number <= longest;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [text](std::string_view name) { return base::is_word(text, name); });
}

bool takes(const row& entry, resp::arguments request) {
  switch (entry.takes) {
    case operand::none:
      return request.size() == 2;
    case operand::time:
      return (request.size() == 3 ||
              (request.size() == 4 && is_one_of(request[3], {"nx", "xx", "gt", "lt"}))) &&
             is_sound_time(request[2]);
    case operand::property:
      return request.size() == 3 && is_one_of(request[1], {"encoding", "refcount", "idletime", "freq"});
    case operand::usage:
      return request.size() == 3 && base::is_word(request[1], "usage");
  }
  return false;
}

}  // namespace

std::optional<absent_key> answer_without_key(resp::arguments request, resp::protocol version) {
  if (request.empty()) return std::nullopt;
  const auto found = std::find_if(std::begin(rows), std::end(rows), [&](const row& r) {
    return base::equals_ignoring_case(request[0], r.name);
  });
  if (found == std::end(rows) || !takes(*found, request)) return std::nullopt;
  const std::string_view null = version == resp::protocol::resp3 ? "_\r\n" : "$-1\r\n";
  const bool behind_word = found->takes == operand::property || found->takes == operand::usage;
  return absent_key{request[behind_word ? 2 : 1], found->reply.empty() ? null : found->reply};
}

}  // namespace dualbus::command
