#include <dualbus/backend/server_identity.hpp>

#include <charconv>
#include <string_view>
#include <utility>

namespace dualbus::backend {

std::string server_identity::title() const {
  std::string result = name;
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') result[0] = static_cast<char>(result[0] - 32);
  return result;
}

std::string server_identity::redis_version() const {
  if (name == "redis") return version;
  return name == "valkey" ? "7.2.4" : std::string();
}

bool server_identity::is_redis_before(int major, int minor) const {
  const std::string text = redis_version();
  const char* const end = text.data() + text.size();
  int of_major = 0, of_minor = 0;
  const auto first = std::from_chars(text.data(), end, of_major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return false;
  if (std::from_chars(first.ptr + 1, end, of_minor).ec != std::errc()) return false;
  return std::pair(of_major, of_minor) < std::pair(major, minor);
}

}  // namespace dualbus::backend
