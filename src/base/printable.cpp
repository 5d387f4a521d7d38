#include <dualbus/base/printable.hpp>

namespace dualbus::base {
namespace {

// Line and paragraph separators, and characters that turn the direction of writing: U+2028 … U+202E, U+2066 …
// U+2069.
bool disturbs_the_line(unsigned char second, unsigned char third) {
  return (second == 0x80 && third >= 0xa8 && third <= 0xae) ||
         (second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

}  // namespace

std::size_t printable_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  std::size_t length = 0;
  unsigned char lowest = 0x80,
                highest = 0xbf;  // of the second byte; narrower ones shut out what UTF-8 forbids
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
    if (first == 0xc2) lowest = 0xa0;  // below: C1 controls
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) lowest = 0xa0;   // overlong
    if (first == 0xed) highest = 0x9f;  // surrogates
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) lowest = 0x90;   // overlong
    if (first == 0xf4) highest = 0x8f;  // above U+10FFFF
  }
  if (length == 0 || text.size() < length || byte(1) < lowest || byte(1) > highest) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  if (first == 0xe2 && disturbs_the_line(byte(1), byte(2))) return 0;
  return length;
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = printable_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void append_printable(std::string& out, std::string_view text, std::string_view marks) {
  constexpr std::string_view hex = "0123456789abcdef";
  while (!text.empty()) {
    const std::size_t length = printable_sequence(text);
    if (length == 0) {
      const auto byte = static_cast<unsigned char>(text.front());
      switch (text.front()) {
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        default:
          out.append("\\x").append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
      }
      text.remove_prefix(1);
      continue;
    }
    if (length == 1 && marks.find(text.front()) != std::string_view::npos) out += '\\';
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
}

}  // namespace dualbus::base
