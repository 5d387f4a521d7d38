#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <algorithm>
#include <charconv>

namespace dualbus::stream {
namespace {

constexpr std::size_t longest_argument = 127;  // Redis's buffer for an ID
constexpr std::size_t slot_digits = 12;        // of slot_span - 1

// Redis's string2ull (util.c): digits, or else a number as strtoull takes it that is not negative.
std::optional<std::uint64_t> parse_part(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [ptr, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc{} && ptr == end) return value;
  if (base::parse_int64(text)) return std::nullopt;
  return base::parse_uint64_as_c(text);
}

}  // namespace

std::optional<client_id> entry_to_client(bus_id id, int slot) {
  if (id.seq >= slot_span) return std::nullopt;
  return position_to_client(id, slot);
}

client_id position_to_client(bus_id id, int slot) {
  if (id == bus_id{}) return {};  // 0-0 means "none" in replies, on every bus
  return {id.ms, std::min(id.seq, slot_span - 1) + static_cast<std::uint64_t>(slot) * slot_span};
}

std::optional<parsed_id> parse_id(std::string_view text, std::uint64_t missing_seq) {
  if (text.size() > longest_argument) return std::nullopt;
  text = base::as_c_string(text);
  const std::size_t dash = text.find('-');
  const auto ms = parse_part(text.substr(0, dash));
  if (!ms) return std::nullopt;
  if (dash == std::string_view::npos) return parsed_id{*ms, missing_seq};
  const auto seq = parse_part(text.substr(dash + 1));
  if (!seq) return std::nullopt;
  return parsed_id{*ms, *seq};
}

char* write_id(char* out, std::uint64_t ms, std::uint64_t seq) {
  out = base::write_int(out, ms);
  *out++ = '-';
  return base::write_int(out, seq);
}

char* write_client_id(char* out, std::string_view id, int slot) {
  const std::size_t dash = id.find('-');
  const std::size_t seq_digits = id.size() - dash - 1;
  if (dash == std::string_view::npos || slot == 0 || seq_digits > slot_digits || dash > base::max_int_chars ||
      id == "0-0") {
    const auto parsed = parse_id(id, 0);
    if (!parsed) return nullptr;
    const auto shown = entry_to_client({parsed->ms, parsed->seq}, slot);
    return shown ? write_id(out, shown->ms, shown->seq) : nullptr;
  }
  out = std::copy_n(id.data(), dash + 1, out);
  out = base::write_int(out, slot);
  out = std::fill_n(out, slot_digits - seq_digits, '0');
  return std::copy_n(id.data() + dash + 1, seq_digits, out);
}

}  // namespace dualbus::stream
