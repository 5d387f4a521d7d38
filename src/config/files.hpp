#pragma once

#include <cstddef>
#include <string>

namespace dualbus::config {

struct file_content {
  std::string problem;  ///< why it could not be read; empty if it was
  std::string text;
  bool world_readable = false;
  bool absent = false;  ///< the problem is that the file does not exist
};

/// Reads a regular file of at most `max_bytes`. Never waits for a writer, as reading a pipe would.
file_content read_file(const std::string& path, std::size_t max_bytes);

}  // namespace dualbus::config
