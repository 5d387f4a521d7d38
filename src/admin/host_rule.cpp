#include "host_rule.hpp"

#include <dualbus/base/glob.hpp>
#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <unistd.h>

namespace dualbus::admin {
namespace {

std::string in_lower_case(std::string_view text) {
  std::string result;
  for (const char c : text) result += base::to_lower(c);
  return result;
}

std::string own_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? in_lower_case(name.data()) : std::string();
}

bool is_numeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1;
}

}  // namespace

bool is_own_host(std::string_view header, const std::vector<std::string>& allowed) {
  if (header.starts_with('[')) {  // "[::1]:9121"
    const std::size_t end = std::min(header.find(']'), header.size());
    if (const std::string_view rest = header.substr(end); !(rest == "]" || rest.starts_with("]:")))
      return false;
    const std::string inside(header.substr(1, end - 1));
    std::array<unsigned char, sizeof(in6_addr)> address{};
    return ::inet_pton(AF_INET6, inside.c_str(), address.data()) == 1;
  }
  std::string host = in_lower_case(header.substr(0, header.find(':')));
  if (host.ends_with('.')) host.pop_back();
  if (host.find('.') == std::string::npos || is_numeric(host) || host == own_name()) return true;
  return std::any_of(allowed.begin(), allowed.end(), [&host](const std::string& pattern) {
    return base::glob_match(in_lower_case(pattern), host);
  });
}

}  // namespace dualbus::admin
