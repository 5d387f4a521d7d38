#pragma once

#include "key_table.hpp"
#include "report.hpp"
#include "yaml_tree.hpp"

#include <string>
#include <string_view>
#include <unordered_map>

namespace dualbus::config {

/// Walks a YAML tree along the key table and fills a draft: every key must be in the table, every value as
/// its row wants it, every required key there. The assembler checks what several keys together must fulfil.
class table_reader {
 public:
  /// Both outlive the reader.
  table_reader(draft& out, report& findings) : draft_(out), report_(findings) {}

  void read(const node& root);

  /// The position of a path (`routing.types.marketdata[2]`) or else of the nearest section around it.
  position where(std::string_view path) const;
  /// True if the key or section is in the file, and its value is in the draft.
  bool accepted(std::string_view path) const;
  /// True if the key or section is in the file, but wrong and reported.
  bool refused(std::string_view path) const;

 private:
  struct mark {
    position at;
    bool accepted = false;
  };

  void read_child(const node& n, position at, const std::string& pattern, const std::string& path,
                  place here);
  void read_section(const node& n, position at, const std::string& pattern, const std::string& path,
                    place here);
  void read_map(const node& map, const std::string& pattern, const std::string& path, place here);
  void read_sequence(const node& list, const std::string& pattern, const std::string& path);
  void read_setting(const node& n, const key_row& row, const std::string& path, place here);
  /// Elements with mistakes are empty in `out`, and only those.
  bool read_list(const node& n, const key_row& row, const std::string& path, value& out);
  bool check(const node& n, const key_row& row, const std::string& path, value& out);
  void require(const std::string& pattern, const node& map, position at, const std::string& path);
  void unknown(const node::key& key, const std::string& pattern, const std::string& path);

  draft& draft_;
  report& report_;
  std::unordered_map<std::string, mark> marks_;
};

}  // namespace dualbus::config
