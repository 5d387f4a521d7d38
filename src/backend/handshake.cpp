#include <dualbus/backend/handshake.hpp>
#include <dualbus/backend/refusal_text.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>

namespace dualbus::backend {
namespace {

// A peer's words on their way into the log.
std::string printable(std::string_view text) {
  constexpr std::size_t longest = 200;
  std::string result(text.substr(0, longest));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

}  // namespace

std::string handshake::start(resp::protocol version, const config::bus_settings& target, int database) {
  scanner_.reset();
  replies_ = 1;
  const bool with_password = !target.password.empty();
  std::string out = with_password ? "*7\r\n" : "*4\r\n";
  out += bulk("HELLO") + bulk(version == resp::protocol::resp3 ? "3" : "2");
  if (with_password) {
    out += bulk("AUTH") + bulk(target.username.empty() ? "default" : target.username) + bulk(target.password);
  }
  out += bulk("SETNAME") + bulk("dualbusd");
  if (database != 0) {
    out += "*2\r\n" + bulk("SELECT") + bulk(std::to_string(database));
    ++replies_;
  }
  return out;
}

std::string handshake::read(base::read_buffer& input) {
  while (replies_ > 0) {
    const resp::scan_status status = scanner_.scan(input.data());
    if (status == resp::scan_status::incomplete) return {};
    if (status == resp::scan_status::error) return "answered something that is not RESP";
    const std::string_view reply = input.data().substr(0, scanner_.consumed());
    if (std::string refusal = accept(reply, scanner_.type()); !refusal.empty()) return refusal;
    input.consume(reply.size());
    scanner_.reset();
    --replies_;
  }
  return input.empty() ? "" : "sent more than was asked for";
}

std::string handshake::accept(std::string_view reply, char type) {
  resp::reply_reader reader(reply);
  const resp::reply_value head = reader.next();
  if (type == '-') return "refused the handshake: " + printable(refusal_text(head.text));
  if (!head.is_aggregate()) return {};  // SELECT's OK
  const std::size_t values = head.type == '%' ? 2 * head.elements : head.elements;
  for (std::size_t i = 0; i + 1 < values; i += 2) {
    const resp::reply_value name = reader.next();
    resp::reply_reader value(reader.skip());
    if (name.text == "server") greeting_.identity.name = printable(value.next().text);
    if (name.text == "version") greeting_.identity.version = printable(value.next().text);
    if (name.text == "role") greeting_.role = printable(value.next().text);
    if (name.text == "id") greeting_.client_id = value.next().number;
  }
  return {};
}

}  // namespace dualbus::backend
