#pragma once

#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::config {

/// Larger files are refused unread.
inline constexpr std::size_t max_file_bytes = std::size_t{1} << 20;

/// The result of loading. Each line reads `file:line:column: key.path: text`, line and column counted from 1;
/// a mistake of the whole file has neither line nor key. Lines are in the order of the file.
struct load_result {
  std::shared_ptr<const configuration> value;  ///< null exactly if there are mistakes
  std::vector<std::string> mistakes;  ///< all of them, up to max_mistakes and a line that counts the rest
  std::vector<std::string> warnings;  ///< also when there are mistakes
};
inline constexpr std::size_t max_mistakes = 1000;

/// Reads and checks a configuration file, and the password files and environment variables that it names.
/// Touches no network. Does not throw for anything a file can contain. Blocks on the file system.
load_result load(const std::string& path);

/// The same for a text. `name` stands for the file in messages; relative password files are looked up in its
/// directory.
load_result parse(std::string_view text, const std::string& name);

}  // namespace dualbus::config
