#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace dualbus::base {

/// Counters by names that peers choose, bounded in number: names beyond the cap, or too long to be a
/// label, share one row called "other". Rows stay where they are for as long as the table lives.
template <typename Row>
class name_table {
 public:
  static constexpr std::string_view other_name = "other";
  static constexpr std::size_t max_name_bytes = 128;

  /// Every row begins as a copy of `blank`.
  explicit name_table(std::size_t max_names, Row blank = {})
      : max_names_(max_names), blank_(std::move(blank)), other_(blank_) {}
  name_table(const name_table&) = delete;
  name_table& operator=(const name_table&) = delete;

  /// The row of a name, made if there is room, else the one of "other".
  Row& of(std::string_view name) {
    if (const auto found = rows_.find(name); found != rows_.end()) return found->second;
    if (full() || name.size() > max_name_bytes || name == other_name) return other_;
    return rows_.emplace(std::string(name), blank_).first->second;
  }
  bool knows(std::string_view name) const { return rows_.find(name) != rows_.end(); }
  bool full() const { return rows_.size() >= max_names_; }
  /// For names to come; those that are known stay.
  void set_max_names(std::size_t max_names) { max_names_ = max_names; }

  template <typename Visitor>  // visitor(std::string_view name, const Row&)
  void visit(Visitor&& visitor) const {
    for (const auto& [name, row] : rows_) visitor(std::string_view(name), row);
    visitor(other_name, other_);
  }

 private:
  struct string_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::size_t max_names_;
  Row blank_;
  std::unordered_map<std::string, Row, string_hash, std::equal_to<>> rows_;
  Row other_;
};

}  // namespace dualbus::base
