#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/encoder.hpp>

namespace dualbus::resp {

void encoder::header(char type, std::int64_t number) {
  char* const begin = out_.reserve(base::max_int_chars + 3);
  begin[0] = type;
  char* end = base::write_int(begin + 1, number);
  *end++ = '\r';
  *end++ = '\n';
  out_.commit(static_cast<std::size_t>(end - begin));
}

void encoder::status(std::string_view text) {
  out_.append("+");
  out_.append(text);
  out_.append("\r\n");
}

void encoder::error(std::string_view text) {
  out_.append("-");
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    out_.append(text.substr(0, end));
    if (end == std::string_view::npos) break;
    out_.append(" ");
    text.remove_prefix(end + 1);
  }
  out_.append("\r\n");
}

void encoder::integer(std::int64_t value) {
  header(':', value);
}

void encoder::bulk(std::string_view text) {
  header('$', static_cast<std::int64_t>(text.size()));
  out_.append(text);
  out_.append("\r\n");
}

void encoder::verbatim(std::string_view text) {
  if (version_ == protocol::resp2) return bulk(text);
  header('=', static_cast<std::int64_t>(text.size()) + 4);
  out_.append("txt:");
  out_.append(text);
  out_.append("\r\n");
}

void encoder::boolean(bool value) {
  if (version_ == protocol::resp2) return integer(value ? 1 : 0);
  out_.append(value ? "#t\r\n" : "#f\r\n");
}

void encoder::null() {
  out_.append(version_ == protocol::resp2 ? "$-1\r\n" : "_\r\n");
}

void encoder::null_array() {
  out_.append(version_ == protocol::resp2 ? "*-1\r\n" : "_\r\n");
}

void encoder::array(std::size_t elements) {
  header('*', static_cast<std::int64_t>(elements));
}

void encoder::map(std::size_t pairs) {
  if (version_ == protocol::resp2) return array(2 * pairs);
  header('%', static_cast<std::int64_t>(pairs));
}

void encoder::set(std::size_t elements) {
  header(version_ == protocol::resp2 ? '*' : '~', static_cast<std::int64_t>(elements));
}

void encoder::push(std::size_t elements) {
  header(version_ == protocol::resp2 ? '*' : '>', static_cast<std::int64_t>(elements));
}

void encoder::request(arguments args) {
  array(args.size());
  for (const std::string_view arg : args) bulk(arg);
}

}  // namespace dualbus::resp
