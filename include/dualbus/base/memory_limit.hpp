#pragma once

#include <cstddef>
#include <string>

namespace dualbus::base {

/// The bytes of memory that this process may use: the least of the machine's memory, the limits of its
/// control groups (`memory.max` and `memory.high` of version 2, `memory.limit_in_bytes` of version 1, each
/// group's and those above it), and RLIMIT_AS and RLIMIT_DATA. `root` is where /proc and /sys are, for tests.
std::size_t process_memory_limit(const std::string& root = "");

}  // namespace dualbus::base
