#include <dualbus/metrics/engine_table.hpp>

#include <algorithm>

namespace dualbus::metrics {
namespace {

constexpr std::string_view marker = "-engine-";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hexadecimal(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
}

// Words such as "feed" are no IDs.
bool is_id(std::string_view text) {
  return is_hexadecimal(text) && std::any_of(text.begin(), text.end(), is_digit);
}

// 8-4-4-4-12 hexadecimal digits.
bool is_uuid(std::string_view text) {
  constexpr std::size_t lengths[] = {8, 4, 4, 4, 12};
  for (const std::size_t length : lengths) {
    if (text.size() < length || !is_hexadecimal(text.substr(0, length))) return false;
    text.remove_prefix(length);
    if (length == 12) break;
    if (!text.starts_with('-')) return false;
    text.remove_prefix(1);
  }
  return text.empty();
}

}  // namespace

std::string_view engine_of_name(std::string_view name) {
  const std::size_t at = name.find(marker);
  return at == std::string_view::npos || at == 0 ? name : name.substr(0, at);
}

std::string_view engine_of_consumer(std::string_view consumer) {
  if (const std::string_view engine = engine_of_name(consumer); engine.size() < consumer.size())
    return engine;
  constexpr std::size_t uuid_length = 36;
  if (consumer.size() > uuid_length + 1) {
    const std::size_t dash = consumer.size() - uuid_length - 1;
    if (consumer[dash] == '-' && is_uuid(consumer.substr(dash + 1))) return consumer.substr(0, dash);
  }
  const std::size_t dash = consumer.rfind('-');
  if (dash == std::string_view::npos || dash == 0 || !is_id(consumer.substr(dash + 1))) return consumer;
  return consumer.substr(0, dash);
}

}  // namespace dualbus::metrics
