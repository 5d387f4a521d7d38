#pragma once

#include <dualbus/config/loader.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::config::test {

/// Two lines that make any other text complete.
inline const std::string one_bus =
    "buses:\n"
    "  a: {id_slot: 1, endpoint: \"127.0.0.1:6380\"}\n";
/// Three lines, two active buses.
inline const std::string two_buses =
    "buses:\n"
    "  a: {id_slot: 1, endpoint: \"127.0.0.1:6380\"}\n"
    "  b: {id_slot: 2, endpoint: \"127.0.0.1:6381\"}\n";

using lines = std::vector<std::string>;

inline lines mistakes_in(const std::string& text) {
  const load_result result = parse(text, "f.yaml");
  EXPECT_EQ(result.value == nullptr, !result.mistakes.empty());
  return result.mistakes;
}

inline lines warnings_in(const std::string& text) {
  const load_result result = parse(text, "f.yaml");
  EXPECT_EQ(result.mistakes, lines{});
  return result.warnings;
}

/// A configuration that must be right.
inline configuration good(const std::string& text) {
  const load_result result = parse(text, "f.yaml");
  EXPECT_EQ(result.mistakes, lines{});
  return result.value != nullptr ? *result.value : configuration{};
}

/// A directory that goes away with its files.
class temporary_directory {
 public:
  temporary_directory() {
    std::string name = ::testing::TempDir() + "/dualbus-config-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~temporary_directory() { std::filesystem::remove_all(path_); }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace dualbus::config::test
