#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::config {

/// A place in the file, counted from 1. Line 0: the file as a whole.
struct position {
  int line = 0;
  int column = 0;
};

/// Collects mistakes and warnings in whatever order they are found and hands them out in the file's order.
class report {
 public:
  /// `name` is the file's name in every line; at most `max_mistakes` are kept, the others only counted.
  report(std::string name, std::size_t max_mistakes);

  /// `path` may be empty.
  void mistake(position at, std::string_view path, std::string_view text);
  void warning(position at, std::string_view path, std::string_view text);

  bool failed() const { return !mistakes_.empty(); }
  std::vector<std::string> mistakes() const;
  std::vector<std::string> warnings() const;

 private:
  struct finding {
    position at;
    std::string line;
  };
  std::string format(position at, std::string_view path, std::string_view text) const;

  std::string name_;
  std::size_t max_mistakes_;
  std::size_t dropped_ = 0;
  std::vector<finding> mistakes_, warnings_;
};

}  // namespace dualbus::config
