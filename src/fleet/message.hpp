#pragma once

#include <dualbus/base/chunk_queue.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dualbus::fleet {

/// The bus a message belongs to by its type.
enum class bus_class : std::uint8_t { marketdata, engine_logic };
inline constexpr std::size_t bus_classes = 2;
std::string_view name_of(bus_class bus);

/// Message types as indexes of one list; those of market data come first.
using message_type = std::uint8_t;
inline constexpr message_type no_type = 255;  ///< of no message
std::span<const std::string_view> type_names();
message_type marketdata_types();  ///< the number of them
bus_class bus_of(message_type type);
std::optional<message_type> find_type(std::string_view name);

/// The name that tells a message from every other: written as its correlation_id.
struct message_name {
  std::uint32_t run;     ///< of this run of the tool; others' messages may lie in the same streams
  std::uint32_t stream;  ///< index of roster::streams()
  std::uint64_t index;   ///< counted per stream
  bool operator==(const message_name&) const = default;
};
std::string format(const message_name& name);
std::optional<message_name> parse_message_name(std::string_view text);

/// Builds the XADDs of one engine, with the fields and in the order of the legacy client.
class message_builder {
 public:
  /// A JSON payload cannot be shorter; less is rounded up.
  static constexpr std::size_t min_payload_bytes = 32;

  message_builder(std::string engine, std::string instance, std::size_t payload_bytes, std::uint64_t maxlen);

  /// Begins a broadcast, with what all its copies have in common.
  void begin(std::uint64_t sequence);
  /// Appends one XADD of the broadcast that began last.
  void append(base::chunk_queue& out, std::string_view key, message_type type,
              const message_name& name) const;

  std::string_view payload() const { return payload_; }

 private:
  std::string engine_, instance_, payload_, maxlen_, timestamp_;
  std::size_t sequence_at_;  // in payload_
};

}  // namespace dualbus::fleet
