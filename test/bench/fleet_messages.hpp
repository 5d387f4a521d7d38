#pragma once

#include <dualbus/command/routing_table.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace dualbus::test {

/// The fleet's XADD: 20 arguments, 7 fields, a payload of 300 bytes of JSON.
inline std::vector<std::string> fleet_xadd(std::string_view type, bool type_in_payload_only = false) {
  std::string payload =
      "{\"message_type\":\"" + std::string(type) +
      "\",\"symbol\":\"EURUSD\",\"bid\":1.08431,\"ask\":1.08433,\"venue\":\"sim\",\"note\":\"";
  payload.append(300 - payload.size() - 2, 'x');
  payload += "\"}";
  return {"XADD",
          "nautilus-vpin-streams",
          "MAXLEN",
          "~",
          "100000",
          "*",
          type_in_payload_only ? "kind" : "message_type",
          std::string(type),
          "source_engine",
          "vpin-engine-1",
          "target",
          "risk",
          "payload",
          payload,
          "priority",
          "normal",
          "timestamp",
          "1692629576.966123",
          "sequence",
          "184467",
          "version",
          "1"};
}

inline std::string encode(const std::vector<std::string>& arguments) {
  std::string text = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    text += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return text;
}

/// The shipped configuration's rules for types, and a pinned prefix.
inline command::routing_rules fleet_rules() {
  command::routing_rules rules;
  rules.buses = {{"marketdata", 1, false}, {"engine_logic", 2, false}};
  rules.default_bus = rules.anchor = 1;
  rules.json_fields = {"payload", "data", "message"};
  for (const char* type :
       {"market_data", "price_update", "trade_execution", "historical_data", "cache_updates"}) {
    rules.types.push_back({type, 0});
  }
  for (const char* type :
       {"vpin_calculation", "risk_*", "ml_prediction", "strategy_signal", "order_request"}) {
    rules.types.push_back({type, 1});
  }
  rules.keys = {{"md:*", 0}};
  return rules;
}

}  // namespace dualbus::test
