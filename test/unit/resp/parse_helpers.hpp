#pragma once

#include <dualbus/resp/request_parser.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::test {

/// A copy of `text` in heap memory of exactly its size, so that AddressSanitizer sees each byte too far.
class heap_copy {
 public:
  explicit heap_copy(std::string_view text) : memory_(new char[text.size()]), size_(text.size()) {
    if (!text.empty()) std::memcpy(memory_.get(), text.data(), text.size());
  }
  std::string_view view() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t size_;
};

/// The result of parsing some bytes: all complete requests, then what remains.
struct parsed_input {
  std::vector<std::vector<std::string>> requests;
  std::vector<bool> verbatim;
  resp::parse_status last = resp::parse_status::incomplete;
  std::string error;
  std::size_t consumed = 0;
  bool operator==(const parsed_input&) const = default;
};

inline std::vector<std::string> copy_arguments(resp::arguments args) {
  return {args.begin(), args.end()};
}

/// Parses `bytes`, which arrive in pieces that end at `ends` (ascending); each call sees a fresh copy of what
/// is there, and the copy before it is gone by then.
inline parsed_input parse_in_pieces(std::string_view bytes, const std::vector<std::size_t>& ends,
                                    resp::parser_limits limits = {}) {
  parsed_input result;
  resp::request_parser parser(limits);
  std::unique_ptr<heap_copy> held;
  for (std::size_t i = 0; i <= ends.size(); ++i) {
    const std::size_t end = i < ends.size() ? ends[i] : bytes.size();
    for (;;) {
      held = std::make_unique<heap_copy>(bytes.substr(result.consumed, end - result.consumed));
      result.last = parser.parse(held->view());
      if (result.last != resp::parse_status::complete) break;
      result.requests.push_back(copy_arguments(parser.args()));
      result.verbatim.push_back(parser.verbatim());
      result.consumed += parser.consumed();
      parser.reset();
      if (result.consumed == end) break;
    }
    if (result.last == resp::parse_status::error) {
      result.error = parser.error();
      return result;
    }
  }
  // Nothing is left after a complete request, which is incomplete whatever the last piece ended with.
  result.last = resp::parse_status::incomplete;
  return result;
}

inline parsed_input parse_whole(std::string_view bytes, resp::parser_limits limits = {}) {
  return parse_in_pieces(bytes, {}, limits);
}

/// A request as clients encode it.
inline std::string encode(const std::vector<std::string>& arguments) {
  std::string text = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    text += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return text;
}

}  // namespace dualbus::test
