#pragma once

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// As much of RESP as the tests of a worker need, written without the code under test.
namespace dualbus::app::test {

/// A command with its arguments.
using words = std::vector<std::string>;

inline words split(std::string_view text) {
  words result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) result.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

inline std::string joined(const words& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " ") + part;
  return text;
}

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

inline std::string encoded(const words& request) {
  std::string out = "*" + std::to_string(request.size()) + "\r\n";
  for (const std::string& word : request) out += bulk(word);
  return out;
}

inline std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return text;
}

/// The number behind the type byte of the first line.
inline long number_in(std::string_view line) {
  long value = 0;
  std::from_chars(line.data() + 1, line.data() + line.size(), value);
  return value;
}

/// The length of the first value in the text; 0 if the value is not complete.
inline std::size_t length_of_first(std::string_view text) {
  const std::size_t line = text.find("\r\n");
  if (line == std::string_view::npos) return 0;
  const long number = number_in(text.substr(0, line));
  std::size_t length = line + 2;
  if (text[0] == '$' || text[0] == '=') {
    if (number >= 0) length += static_cast<std::size_t>(number) + 2;
    return length <= text.size() ? length : 0;
  }
  if (text[0] != '*' && text[0] != '%' && text[0] != '~' && text[0] != '>') return length;
  for (long left = text[0] == '%' ? 2 * number : number; left > 0; --left) {
    const std::size_t next = length_of_first(text.substr(length));
    if (next == 0) return 0;
    length += next;
  }
  return length;
}

/// The complete values at the front of the text, which loses them.
inline std::vector<std::string> take_values(std::string& text) {
  std::vector<std::string> values;
  while (const std::size_t length = length_of_first(text)) {
    values.push_back(text.substr(0, length));
    text.erase(0, length);
  }
  return values;
}

/// The elements of an array.
inline std::vector<std::string> elements_of(std::string_view array) {
  std::string rest(array.substr(array.find("\r\n") + 2));
  return take_values(rest);
}

/// The words of a request, which is an array of strings.
inline words words_of(std::string_view request) {
  words result;
  for (const std::string& element : elements_of(request)) {
    const std::size_t line = element.find("\r\n");
    result.push_back(element.substr(line + 2, element.size() - line - 4));
  }
  return result;
}

/// An error without its mark and its end.
inline std::string text_of_error(std::string_view reply) {
  return std::string(reply.substr(1, reply.find("\r\n") - 1));
}

}  // namespace dualbus::app::test
