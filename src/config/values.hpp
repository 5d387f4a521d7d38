#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dualbus::config {

// Readers of scalars. Each takes exactly one notation and gives nothing for all others: a text that YAML
// libraries would reinterpret (`yes`, `0777`, `1e3`, `1_000`, `12:30`) is never taken for something else. An
// amount too large for 64 bits counts as the largest one, which is out of every range.

/// Bytes as in redis.conf: a decimal, alone or with b, k, kb, m, mb, g or gb in any case. `k` is 1000, `kb`
/// 1024.
std::optional<std::int64_t> parse_bytes(std::string_view text);

/// A decimal with us, ms, s, m or h; `0` needs no unit.
std::optional<std::chrono::microseconds> parse_duration(std::string_view text);

/// Three or four octal digits, up to 0777.
std::optional<unsigned> parse_mode(std::string_view text);

/// `host:port`, `[v6]:port`, `unix:/path` or `/path`.
struct endpoint {
  std::string host;  ///< empty for a Unix socket
  std::uint16_t port = 0;
  std::string unix_socket;  ///< empty for TCP
};
/// Returns what is wrong, or nothing and fills `out`.
std::string parse_endpoint(std::string_view text, endpoint& out);

/// The longest path of a Unix socket: sun_path without its NUL.
inline constexpr std::int64_t max_unix_path = 107;

bool is_numeric_address(std::string_view text);
/// True for a numeric loopback address.
bool is_loopback_address(std::string_view text);
/// True for 0.0.0.0 and ::.
bool is_any_address(std::string_view text);
/// True if connections to `host` arrive at what listens on the numeric address `listener`.
bool reaches(std::string_view host, std::string_view listener);

/// RFC 6901: empty, or tokens that start with '/', with '~' only in ~0 and ~1.
bool is_json_pointer(std::string_view text);

/// The amount in the largest unit that expresses it exactly: `64kb`, `5m`, `500us`.
std::string format_bytes(std::int64_t bytes);
std::string format_duration(std::chrono::microseconds duration);

/// `text` for messages: control characters escaped, and cut to about `longest` bytes.
std::string printable(std::string_view text, std::size_t longest);
/// The same in single quotes, cut to 80.
std::string quoted(std::string_view text);
std::string joined(std::span<const std::string_view> texts, std::string_view separator);

}  // namespace dualbus::config
