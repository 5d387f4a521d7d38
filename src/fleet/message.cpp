#include "message.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/encoder.hpp>

#include <algorithm>
#include <array>
#include <chrono>

#include <spdlog/fmt/fmt.h>

namespace dualbus::fleet {
namespace {

constexpr std::array<std::string_view, 24> types = {
    "market_data", "price_update", "trade_execution", "historical_data", "cache_updates",
    // Engine logic; the last one stands for all that no configuration names.
    "vpin_calculation", "risk_metric", "ml_prediction", "factor_calculation", "analytics_result",
    "strategy_signal", "portfolio_update", "order_request", "position_change", "engine_health",
    "performance_metric", "error_alert", "system_alert", "toxicity_alert", "gpu_computation",
    "trading_signals", "risk_alerts", "system_coordination", "margin_call"};
constexpr message_type marketdata_count = 5;

// Blanks in front of the number keep it JSON and the payload's length the same.
constexpr std::size_t sequence_width = 16;
constexpr std::string_view sequence_field = "\"sequence\":";

std::string make_payload(std::size_t bytes) {
  constexpr std::string_view quote =
      R"("symbol":"AAPL","bid":189.42,"ask":189.43,"last":189.42,"volume":48213377,"venue":"NASDAQ",)";
  constexpr std::string_view note = R"(,"note":")";
  std::string text = "{";
  const std::size_t least = 2 + sequence_field.size() + sequence_width;
  if (bytes >= least + quote.size()) text += quote;
  text += sequence_field;
  text.append(sequence_width, ' ');
  if (bytes >= text.size() + note.size() + 2) {
    const std::size_t padding = bytes - text.size() - note.size() - 2;
    text += note;
    text.append(padding, 'x');
    text += '"';
  }
  return text += '}';
}

}  // namespace

std::string_view name_of(bus_class bus) {
  return bus == bus_class::marketdata ? "marketdata" : "engine_logic";
}

std::span<const std::string_view> type_names() {
  return types;
}

message_type marketdata_types() {
  return marketdata_count;
}

bus_class bus_of(message_type type) {
  return type < marketdata_count ? bus_class::marketdata : bus_class::engine_logic;
}

std::optional<message_type> find_type(std::string_view name) {
  const auto found = std::find(types.begin(), types.end(), name);
  if (found == types.end()) return std::nullopt;
  return static_cast<message_type>(found - types.begin());
}

std::string format(const message_name& name) {
  return fmt::format("{:08x}-{}-{}", name.run, name.stream, name.index);
}

std::optional<message_name> parse_message_name(std::string_view text) {
  message_name name{};
  const auto read = [&text](auto& number, int base) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    const bool ok = error == std::errc() && end != text.data();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return ok;
  };
  const auto dash = [&text] {
    if (text.empty() || text[0] != '-') return false;
    text.remove_prefix(1);
    return true;
  };
  if (read(name.run, 16) && dash() && read(name.stream, 10) && dash() && read(name.index, 10) &&
      text.empty()) {
    return name;
  }
  return std::nullopt;
}

message_builder::message_builder(std::string engine, std::string instance, std::size_t payload_bytes,
                                 std::uint64_t maxlen)
    : engine_(std::move(engine)),
      instance_(std::move(instance)),
      payload_(make_payload(payload_bytes)),
      maxlen_(std::to_string(maxlen)),
      sequence_at_(payload_.find(sequence_field) + sequence_field.size()) {}

void message_builder::begin(std::uint64_t sequence) {
  const std::string digits = fmt::format("{:>{}}", sequence % 10'000'000'000'000'000U, sequence_width);
  payload_.replace(sequence_at_, sequence_width, digits);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  timestamp_ = fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000);
}

void message_builder::append(base::chunk_queue& out, std::string_view key, message_type type,
                             const message_name& name) const {
  const std::string correlation = format(name);
  const std::array<std::string_view, 20> args = {"XADD",          key,        "MAXLEN",          "~",
                                                 maxlen_,         "*",        "message_type",    types[type],
                                                 "source_engine", engine_,    "source_instance", instance_,
                                                 "payload",       payload_,   "priority",        "normal",
                                                 "timestamp",     timestamp_, "correlation_id",  correlation};
  resp::encoder(out).request(args);
}

}  // namespace dualbus::fleet
