#include "json_search.hpp"

#include <dualbus/base/numbers.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

namespace dualbus::command {
namespace {

// The meaning of a byte outside of strings.
enum class kind : std::uint8_t {
  plain,  // part of a number or word, a blank or a colon
  mark,   // one of "{}[],
  odd     // not part of JSON: of a comment, say, which some readers skip
};

constexpr std::array<kind, 256> kinds = [] {
  std::array<kind, 256> result{};
  result.fill(kind::odd);
  for (const char c :
       std::string_view("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-.: \t\r\n"))
    result[static_cast<unsigned char>(c)] = kind::plain;
  for (const char c : std::string_view("\"{}[],")) result[static_cast<unsigned char>(c)] = kind::mark;
  return result;
}();

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::optional<std::uint32_t> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text.substr(0, 4)) {
    const char lower = base::to_lower(c);
    if (lower >= '0' && lower <= '9') {
      value = value * 16 + static_cast<std::uint32_t>(lower - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value * 16 + static_cast<std::uint32_t>(lower - 'a') + 10;
    } else {
      return std::nullopt;
    }
  }
  return value;
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

}  // namespace

json_search::json_search(std::string_view pointer) {
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view encoded = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(encoded.size());
    token t{{}, 0, false};
    for (std::size_t i = 0; i < encoded.size(); ++i) {
      const bool escape = encoded[i] == '~' && i + 1 < encoded.size();
      t.name += escape ? (encoded[++i] == '0' ? '~' : '/') : encoded[i];
    }
    if (const auto index = base::parse_uint64(t.name)) {
      t.index = *index;
      t.is_index = true;
    }
    path_.push_back(std::move(t));
  }
}

void json_search::skip_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
}

// `at_` is at the opening quote. False, with `at_` at the end, if nothing closes the string.
bool json_search::skip_string(std::string_view& inside, bool& escaped) {
  const std::size_t begin = ++at_;
  escaped = false;
  for (;;) {
    const auto* const quote =
        static_cast<const char*>(std::memchr(text_.data() + at_, '"', text_.size() - at_));
    if (quote == nullptr) {
      at_ = text_.size();
      return false;
    }
    const auto end = static_cast<std::size_t>(quote - text_.data());
    std::size_t backslashes = 0;
    while (end - backslashes > at_ && text_[end - backslashes - 1] == '\\') ++backslashes;
    at_ = end + 1;
    if (backslashes % 2 != 0) continue;
    inside = text_.substr(begin, end - begin);
    escaped = inside.find('\\') != std::string_view::npos;
    return true;
  }
}

// Skips to the comma or the bracket that ends the value; brackets within it are only counted.
void json_search::skip_value() {
  std::size_t depth = 0, pieces = 0;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    switch (kinds[static_cast<unsigned char>(c)]) {
      case kind::plain:
        odd_ |= depth == 0 && pieces > 0 && !is_blank(c);  // behind a string or container
        continue;
      case kind::odd:
        odd_ = true;
        continue;
      default:
        break;
    }
    if (c == ',') {
      if (depth == 0) return;
      continue;
    }
    if (c == '}' || c == ']') {
      if (depth == 0) return;
      --depth;
      continue;
    }
    if (depth == 0) {
      // Only blanks may stand before it, and nothing of the kind.
      const std::size_t before = text_.find_last_not_of(" \t\r\n", at_ == 0 ? 0 : at_ - 1);
      const bool first = pieces++ == 0 && before != std::string_view::npos &&
                         (text_[before] == ':' || text_[before] == ',' || text_[before] == '[');
      odd_ |= !first;
    }
    if (c == '"') {
      std::string_view inside;
      bool escaped;
      if (!skip_string(inside, escaped)) return;
      --at_;
    } else {
      ++depth;
    }
  }
}

// Within an object: goes to the value of the next member of that name. False at the object's end, which is
// skipped, and at the end of the text.
bool json_search::next_member(const token& wanted) {
  for (;;) {
    skip_blanks();
    ended_by_ = '\0';
    if (at_ == text_.size()) return false;
    ended_by_ = text_[at_];
    if (ended_by_ == '}' || ended_by_ == ']') {
      ++at_;
      return false;
    }
    if (text_[at_] == ',') {
      ++at_;
      continue;
    }
    if (text_[at_] != '"') {  // not a name
      odd_ = true;
      skip_value();
      continue;
    }
    std::string_view name;
    bool escaped;
    if (!skip_string(name, escaped)) return false;
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != ':') {  // no value
      odd_ = true;
      skip_value();
      continue;
    }
    ++at_;
    skip_blanks();
    if ((escaped ? decode(name, name_) : name) == wanted.name) return true;
    skip_value();
  }
}

// Goes into the object or array that begins here, to the wanted value.
bool json_search::seek(const token& wanted) {
  if (at_ == text_.size() || (text_[at_] != '{' && text_[at_] != '[')) return false;
  const bool array = text_[at_++] == '[';
  closings_ += array ? ']' : '}';
  if (!array) return next_member(wanted);
  if (!wanted.is_index) return false;
  for (std::size_t left = wanted.index; left > 0; --left) {
    skip_value();
    if (at_ == text_.size() || text_[at_] != ',') return false;
    ++at_;
  }
  skip_blanks();
  return at_ < text_.size() && text_[at_] != ']';
}

// Called behind the value taken from the container. True if the container ends as it should, and has no other
// member of that name.
bool json_search::close_container(const token& taken, char closing) {
  skip_blanks();
  if (at_ == text_.size()) return false;
  if (closing == '}') {
    if (text_[at_] != ',' && text_[at_] != '}') return false;
    return !next_member(taken) && ended_by_ == '}';
  }
  while (at_ < text_.size() && text_[at_] == ',') {
    ++at_;
    skip_value();
  }
  return at_ < text_.size() && text_[at_++] == ']';
}

std::string_view json_search::decode(std::string_view inside, std::string& into) {
  into.clear();
  while (!inside.empty()) {
    const std::size_t plain = std::min(inside.find('\\'), inside.size());
    into += inside.substr(0, plain);
    inside.remove_prefix(plain);
    if (inside.size() < 2) break;
    const char c = inside[1];
    inside.remove_prefix(2);
    constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (const std::size_t at = letters.find(c); at != std::string_view::npos) {
      into += meanings[at];
      continue;
    }
    std::optional<std::uint32_t> code = c == 'u' ? hex4(inside) : std::nullopt;
    if (!code) {
      odd_ = true;
      into += c;
      continue;
    }
    inside.remove_prefix(4);
    if (*code >= 0xD800 && *code < 0xE000) {
      const auto low = inside.starts_with("\\u") ? hex4(inside.substr(2)) : std::nullopt;
      if (*code < 0xDC00 && low && *low >= 0xDC00 && *low < 0xE000) {
        code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
        inside.remove_prefix(6);
      } else {
        code = 0xFFFD;
        odd_ = true;
      }
    }
    append_utf8(*code, into);
  }
  return into;
}

std::string_view json_search::read_string() {
  std::string_view inside;
  bool escaped;
  if (at_ == text_.size() || text_[at_] != '"' || !skip_string(inside, escaped)) return {};
  return escaped ? decode(inside, value_) : inside;
}

std::string_view json_search::walk(std::string_view text) {
  text_ = text;
  at_ = 0;
  odd_ = false;
  closings_.clear();
  skip_blanks();
  for (const token& t : path_) {
    if (!seek(t)) return {};
  }
  return read_string();
}

std::string_view json_search::find(std::string_view text) {
  return walk(text);
}

std::string_view json_search::find_sole(std::string_view text) {
  const std::string_view found = walk(text);
  if (found.data() == nullptr) return {};
  for (std::size_t level = path_.size(); level-- > 0;) {
    if (!close_container(path_[level], closings_[level])) return {};
  }
  skip_blanks();
  return odd_ || at_ < text_.size() ? std::string_view() : found;
}

}  // namespace dualbus::command
