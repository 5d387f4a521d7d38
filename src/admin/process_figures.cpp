#include "process_figures.hpp"

#include <dirent.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace dualbus::admin {
namespace {

std::optional<double> cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return {};
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::optional<double> resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0, resident = 0;
  if (!(statm >> total >> resident)) return {};
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

std::optional<double> open_fds() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), ::closedir);
  if (!directory) return {};
  double count = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count - 1;  // the directory's own descriptor does not count
}

std::optional<double> max_fds() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  return static_cast<double>(limit.rlim_cur);
}

// The kernel tells the start in clock ticks after boot, and the time of boot elsewhere.
std::optional<double> start_unix_seconds() {
  std::ifstream stat("/proc/self/stat");
  std::string line;
  if (!std::getline(stat, line)) return {};
  // The second field is the program's name in parentheses, which may hold blanks and parentheses itself.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(line.substr(name_end + 1));
  constexpr int start_field = 22, first_field = 3;
  std::string skipped;
  for (int field = first_field; field < start_field; ++field) fields >> skipped;
  double ticks = 0;
  if (!(fields >> ticks)) return {};

  std::ifstream boot("/proc/stat");
  constexpr std::string_view boot_prefix = "btime ";
  while (std::getline(boot, line)) {
    if (line.rfind(boot_prefix, 0) != 0) continue;
    return std::stod(line.substr(boot_prefix.size())) + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  return {};
}

}  // namespace

process_figures read_process_figures() {
  // The start does not change, and /proc/stat is slow to make on machines with many cores.
  static const std::optional<double> start = start_unix_seconds();
  return {cpu_seconds(), resident_bytes(), open_fds(), max_fds(), start};
}

}  // namespace dualbus::admin
