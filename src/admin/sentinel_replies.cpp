#include "sentinel_replies.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>

namespace dualbus::admin {
namespace {

using resp::reply_reader;
using resp::reply_value;

constexpr std::size_t longest_host = 253;

// Names, where the Sentinels resolve them (sentinel resolve-hostnames), or addresses.
bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= longest_host && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':';
  });
}

std::optional<config::server_address> address_of(std::string_view host, std::string_view port) {
  const auto number = base::parse_uint64(port);
  if (!is_host(host) || !number || *number < 1 || *number > 65535) return {};
  const bool v6 = host.find(':') != std::string_view::npos;
  std::string text = v6 ? "[" + std::string(host) + "]" : std::string(host);
  text += ":" + std::to_string(*number);
  return config::server_address{std::string(host), static_cast<std::uint16_t>(*number), {}, std::move(text)};
}

// Calls read(name, value) for each pair of a flat array; values that are no strings are passed over.
template <typename Read>
void each_field(reply_reader& reader, Read&& read) {
  const reply_value header = reader.next();
  if (!header.is_aggregate()) return;
  for (std::size_t left = header.elements / 2; left > 0 && !reader.done(); --left) {
    const std::string_view name_bytes = reader.skip();
    const std::string_view value_bytes = reader.skip();
    const reply_value name = reply_reader(name_bytes).next(), value = reply_reader(value_bytes).next();
    if (name.is_string() && value.is_string()) read(name.text, value.text);
  }
}

}  // namespace

master_reply read_master_address(std::string_view reply) {
  reply_reader reader(reply);
  const reply_value head = reader.next();
  if (head.is_error()) return {{}, "refuses to name it: " + std::string(head.text)};
  if (head.null) return {{}, "does not know it"};
  master_reply found;
  if (head.type == '*' && head.elements == 2) {
    const reply_value host = reader.next();
    const reply_value port = reader.next();
    if (host.is_string() && port.is_string()) found.address = address_of(host.text, port.text);
  }
  if (!found.address) found.fault = "answers no address";
  return found;
}

std::uint64_t read_config_epoch(std::string_view reply) {
  std::uint64_t epoch = 0;
  reply_reader reader(reply);
  each_field(reader, [&](std::string_view name, std::string_view value) {
    if (name == "config-epoch") epoch = base::parse_uint64(value).value_or(0);
  });
  return epoch;
}

std::vector<config::server_address> read_sentinels(std::string_view reply) {
  std::vector<config::server_address> found;
  reply_reader reader(reply);
  const reply_value head = reader.next();
  if (!head.is_aggregate()) return found;
  for (std::size_t left = head.elements; left > 0 && !reader.done(); --left) {
    std::string_view host, port;
    reply_reader one(reader.skip());
    each_field(one, [&](std::string_view name, std::string_view value) {
      if (name == "ip") host = value;
      if (name == "port") port = value;
    });
    if (auto address = address_of(host, port)) found.push_back(std::move(*address));
  }
  return found;
}

std::string read_role(std::string_view reply) {
  std::string role;
  reply_reader reader(reply);
  each_field(reader, [&](std::string_view field, std::string_view value) {
    if (field == "role") role = value.substr(0, 20);
  });
  return role;
}

}  // namespace dualbus::admin
