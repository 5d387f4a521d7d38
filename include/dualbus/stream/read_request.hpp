#pragma once

#include <dualbus/command/command_table.hpp>
#include <dualbus/resp/request_parser.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::stream {

/// XREAD or XREADGROUP, taken apart; a copy, since such a request may wait.
struct read_request {
  enum class position : std::uint8_t {
    after,   ///< entries behind `id`; with a group: the consumer's own that are pending
    newest,  ///< `$`, XREAD only: what is added from now on
    last,    ///< `+`, XREAD only: the last entry
    fresh    ///< `>`, XREADGROUP only: what the group has not had
  };
  struct key {
    std::string name;
    position from = position::after;
    client_id id;
  };

  std::optional<std::string> group;
  std::string consumer;
  std::uint64_t count = 0;                         ///< 0: no limit, as in Redis
  std::optional<std::chrono::milliseconds> block;  ///< 0: for ever
  bool no_ack = false;
  std::vector<key> keys;

  /// Redis's error, if the request is malformed; then nothing else counts but `faulty_key`.
  std::string_view error;
  /// The key whose ID is at fault. Redis looks at the keys up to that one before it reports the error.
  std::optional<std::size_t> faulty_key;
  /// An option of later versions that has no meaning over several buses.
  std::string_view unsupported;
};

/// `args` with the command's name, XREAD or XREADGROUP, in front. Order and texts of errors are those of
/// Redis 7.0 (t_stream.c, xreadCommand).
read_request parse_read(const command::command_spec& spec, resp::arguments args);

/// The entries of all keys in a reply to XREAD or XREADGROUP that is no error.
std::uint64_t entries_in(std::string_view reply);

}  // namespace dualbus::stream
