#include <dualbus/base/memory_limit.hpp>
#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>

namespace dualbus::base {
namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

// A number of bytes; "max", like a file that is not there, is no limit.
std::size_t read_limit(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  const auto number = parse_int64(word);
  return number && *number > 0 ? static_cast<std::size_t>(*number) : none;
}

// The group's own limits and those of all groups above it. In a container the path may not be visible; then
// the mount's root is the group.
std::size_t limit_of_group(const std::string& mount, std::string path,
                           std::initializer_list<const char*> files) {
  std::size_t limit = none;
  for (;;) {
    for (const char* file : files) limit = std::min(limit, read_limit(mount + path + "/" + file));
    const std::size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return limit;
    path.resize(slash);
  }
}

// Lines of /proc/self/cgroup: hierarchy-ID:controllers:path (cgroups(7)).
std::size_t limit_of_groups(const std::string& root) {
  std::size_t limit = none;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      limit = std::min(limit, limit_of_group(root + "/sys/fs/cgroup", path, {"memory.max", "memory.high"}));
    } else if (controllers.find(",memory,") != std::string::npos) {
      limit =
          std::min(limit, limit_of_group(root + "/sys/fs/cgroup/memory", path, {"memory.limit_in_bytes"}));
    }
  }
  return limit;
}

std::size_t resource_limit(decltype(RLIMIT_AS) which) {
  rlimit limit{};
  if (::getrlimit(which, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return none;
  return limit.rlim_cur;
}

}  // namespace

std::size_t process_memory_limit(const std::string& root) {
  const auto machine =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return std::min({machine, limit_of_groups(root), resource_limit(RLIMIT_AS), resource_limit(RLIMIT_DATA)});
}

}  // namespace dualbus::base
