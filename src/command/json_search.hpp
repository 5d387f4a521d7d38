#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::command {

/// Finds one member of a JSON text that a strict parser refuses: for numbers that no double holds, NaN, lone
/// surrogates, broken UTF-8, its depth or length, or because its end is missing. The text is read from its
/// front as far as needed, in time linear in its length, and nothing of it is kept. In a valid text it finds
/// the same as a parser: a string, by names with their escapes resolved; of several members of one name, the
/// first.
class json_search {
 public:
  /// `pointer` is as in RFC 6901: the names of members and the indices of elements on the way to the string.
  explicit json_search(std::string_view pointer);

  /// The string; a null view if there is none. Valid until the next call and as long as `text`. U+FFFD stands
  /// for a lone surrogate.
  std::string_view find(std::string_view text);
  /// The same, but a null view unless all readers agree about the string: the text is whole, nothing in it
  /// but its values is unlike JSON, and no member on the way stands twice in its object. `text` is UTF-8.
  std::string_view find_sole(std::string_view text);

 private:
  struct token {
    std::string name;
    std::size_t index;  // in an array
    bool is_index;
  };

  void skip_blanks();
  bool skip_string(std::string_view& inside, bool& escaped);
  void skip_value();
  bool seek(const token& wanted);
  bool next_member(const token& wanted);
  bool close_container(const token& taken, char closing);
  std::string_view read_string();
  std::string_view decode(std::string_view inside, std::string& into);
  std::string_view walk(std::string_view text);

  std::vector<token> path_;
  std::string_view text_;
  std::size_t at_ = 0;
  char ended_by_ = 0;  // the bracket at which next_member() found nothing
  bool odd_ = false;   // other readers may read something met so far differently
  std::string name_, value_;
  std::string closings_;  // the closing brackets of the containers entered, from the outermost on
};

}  // namespace dualbus::command
