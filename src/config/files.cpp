#include "files.hpp"

#include "values.hpp"

#include <dualbus/base/unique_fd.hpp>

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace dualbus::config {
namespace {

std::string error_text() {
  return std::generic_category().message(errno);
}

}  // namespace

file_content read_file(const std::string& path, std::size_t max_bytes) {
  file_content content;
  const base::unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    content.absent = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
    content.problem = "cannot be read: " + error_text();
    return content;
  }
  if (!S_ISREG(status.st_mode)) {
    content.problem = S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file";
    return content;
  }
  content.world_readable = (status.st_mode & S_IROTH) != 0;
  char block[16384];
  // The bytes are counted while reading: the size that stat gave may be outdated, and is 0 for some file
  // systems.
  while (content.text.size() <= max_bytes) {
    const ssize_t got = ::read(file.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      content.problem = "cannot be read: " + error_text();
      return content;
    }
    if (got == 0) return content;
    content.text.append(block, static_cast<std::size_t>(got));
  }
  content.text.clear();
  content.problem = "is larger than " + format_bytes(static_cast<std::int64_t>(max_bytes));
  return content;
}

}  // namespace dualbus::config
