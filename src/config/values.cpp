#include "values.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/base/printable.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <limits>
#include <netinet/in.h>
#include <utility>

namespace dualbus::config {
namespace {

struct unit {
  std::string_view name;
  std::int64_t factor;
};

// Largest first, as formatting wants it.
constexpr unit byte_units[] = {{"gb", 1 << 30},  {"mb", 1 << 20}, {"kb", 1 << 10}, {"g", 1'000'000'000},
                               {"m", 1'000'000}, {"k", 1'000},    {"b", 1},        {"", 1}};
constexpr unit duration_units[] = {
    {"h", 3'600'000'000}, {"m", 60'000'000}, {"s", 1'000'000}, {"ms", 1'000}, {"us", 1}};

std::optional<std::int64_t> parse_with_unit(std::string_view text, std::span<const unit> units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::parse_int64(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const unit& u : units) {
    if (!base::equals_ignoring_case(text.substr(digits), u.name)) continue;
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    return *number > most / u.factor ? most : *number * u.factor;
  }
  return std::nullopt;
}

std::optional<in_addr> ipv4(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) return std::nullopt;
  return address;
}

std::optional<in6_addr> ipv6(std::string_view text) {
  in6_addr address{};
  if (inet_pton(AF_INET6, std::string(text).c_str(), &address) != 1) return std::nullopt;
  return address;
}

bool is_host(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  if (text.empty() || text.size() > 253 || text.find_first_not_of(letters) != std::string_view::npos)
    return false;
  // Digits and dots alone were meant as an address: 127.0.0.256 is no host name.
  return text.find_first_not_of("0123456789.") != std::string_view::npos || ipv4(text).has_value();
}

}  // namespace

std::optional<std::int64_t> parse_bytes(std::string_view text) {
  return parse_with_unit(text, byte_units);
}

std::optional<std::chrono::microseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::microseconds(0);
  // Lower case only: 5M would be five months to some readers.
  if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) return std::nullopt;
  const auto number = parse_with_unit(text, duration_units);
  if (!number) return std::nullopt;
  return std::chrono::microseconds(*number);
}

std::optional<unsigned> parse_mode(std::string_view text) {
  if (text.size() == 4 && text.front() == '0') text.remove_prefix(1);
  if (text.size() != 3 || text.find_first_not_of("01234567") != std::string_view::npos) return std::nullopt;
  unsigned mode = 0;
  for (const char c : text) mode = mode * 8 + static_cast<unsigned>(c - '0');
  return mode;
}

std::string parse_endpoint(std::string_view text, endpoint& out) {
  constexpr std::string_view forms = "must be host:port, [v6]:port, unix:/path or /path";
  // The URL of a client may hold its password.
  const bool login = text.find('@') != std::string_view::npos;
  if (text.find("://") != std::string_view::npos
          ? login || !text.starts_with("unix:")
          : login && !text.starts_with("unix:") && !text.starts_with('/')) {
    return std::string(forms) + ", and no URL: a user stands in username, a password in password_file";
  }
  std::string wrong = std::string(forms) + ", not " + quoted(text);
  std::string_view path = text;
  if (path.starts_with("unix:")) path.remove_prefix(5);
  if (path.starts_with('/')) {
    if (std::cmp_greater(path.size(), max_unix_path)) {
      return "the path of a Unix socket has at most " + std::to_string(max_unix_path) + " bytes";
    }
    if (path.find('\0') != std::string_view::npos || path.size() < 2) return wrong;
    out = {.host = {}, .port = 0, .unix_socket = std::string(path)};
    return {};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string_view host = text.substr(0, colon);
  const auto port = base::parse_int64(text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!ipv6(host)) return wrong;
  } else if (ipv6(text) || ipv6(host)) {
    return "an IPv6 address stands in brackets: [v6]:port, not " + quoted(text);
  } else if (!is_host(host)) {
    return wrong;
  }
  if (!port) return wrong;
  if (*port < 1 || *port > 65535) return "the port must be between 1 and 65535, not " + std::to_string(*port);
  out = {.host = std::string(host), .port = static_cast<std::uint16_t>(*port), .unix_socket = {}};
  return {};
}

bool is_numeric_address(std::string_view text) {
  return ipv4(text) || ipv6(text);
}

bool is_loopback_address(std::string_view text) {
  if (const auto v4 = ipv4(text)) return (ntohl(v4->s_addr) >> 24) == 127;
  if (const auto v6 = ipv6(text)) {
    if (IN6_IS_ADDR_V4MAPPED(&*v6)) return v6->s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&*v6);
  }
  return false;
}

bool is_any_address(std::string_view text) {
  if (const auto v4 = ipv4(text)) return v4->s_addr == INADDR_ANY;
  if (const auto v6 = ipv6(text)) return IN6_IS_ADDR_UNSPECIFIED(&*v6);
  return false;
}

bool reaches(std::string_view host, std::string_view listener) {
  if (host == listener) return true;
  const bool local = host == "localhost" || is_loopback_address(host) || is_any_address(host);
  return local && (is_any_address(listener) || (host == "localhost" && is_loopback_address(listener)));
}

bool is_json_pointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
  }
  return true;
}

std::string format_bytes(std::int64_t bytes) {
  for (const unit& u : std::span(byte_units).first<3>()) {
    if (bytes != 0 && bytes % u.factor == 0) return std::to_string(bytes / u.factor) + std::string(u.name);
  }
  return std::to_string(bytes);
}

std::string format_duration(std::chrono::microseconds duration) {
  for (const unit& u : duration_units) {
    if (duration.count() != 0 && duration.count() % u.factor == 0) {
      return std::to_string(duration.count() / u.factor) + std::string(u.name);
    }
  }
  return "0";
}

std::string printable(std::string_view text, std::size_t longest) {
  std::string out;
  std::size_t end = std::min(text.size(), longest);
  // Do not cut a character in half: go back to the start of a UTF-8 sequence.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  base::append_printable(out, text.substr(0, end), {});
  return end < text.size() ? out + "…" : out;
}

// The URL of a client may hold its password, wherever it was written.
std::string quoted(std::string_view text) {
  const std::size_t scheme = text.find("://");
  const std::size_t login_end = text.rfind('@');
  if (scheme != std::string_view::npos && login_end != std::string_view::npos && login_end > scheme)
    return "'" + printable(text.substr(0, scheme), 20) + "://…" + printable(text.substr(login_end), 80) + "'";
  return "'" + printable(text, 80) + "'";
}

std::string joined(std::span<const std::string_view> texts, std::string_view separator) {
  std::string out;
  for (const std::string_view text : texts) {
    if (!out.empty()) out += separator;
    out += text;
  }
  return out;
}

}  // namespace dualbus::config
