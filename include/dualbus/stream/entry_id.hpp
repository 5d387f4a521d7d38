#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dualbus::stream {

/// A stream entry ID as a bus stores it.
struct bus_id {
  std::uint64_t ms = 0, seq = 0;
  auto operator<=>(const bus_id&) const = default;
};

/// A stream entry ID as clients see it: the bus's slot stands in the sequence part.
struct client_id {
  std::uint64_t ms = 0, seq = 0;
  auto operator<=>(const client_id&) const = default;
};

/// Sequence numbers that a slot has room for. A power of ten, so that a person reads the slot off an ID:
/// `1692629576966-1000000000003` is the entry `1692629576966-3` of slot 1. With 128 slots the largest
/// sequence stays below 2^53, exact in a double. IDs that Redis makes never get there.
inline constexpr std::uint64_t slot_span = 1'000'000'000'000;
inline constexpr int slot_count = 128;

/// The client's form of an entry's ID on a bus. Nothing if it has none, because its sequence is slot_span or
/// more: Redis made it neither from its clock nor behind an ID of the daemon's. Such an entry is left out;
/// any ID in its place would be another entry's.
std::optional<client_id> entry_to_client(bus_id id, int slot);
/// The client's form of a position on a bus: a last ID, a cursor, an end of a range, but no entry that
/// somebody might name. An ID that has no form itself is shown as the largest ID of its millisecond that has
/// one.
client_id position_to_client(bus_id id, int slot);

/// The slot that a client's ID names, configured or not, and the ID there.
inline std::uint64_t slot_of(client_id id) {
  return id.seq / slot_span;
}
inline bus_id to_bus(client_id id) {
  return {id.ms, id.seq % slot_span};
}

struct parsed_id {
  std::uint64_t ms, seq;
};
/// Reads `ms` or `ms-seq`, each number as Redis reads it (t_stream.c, streamGenericParseIDOrReply): leading
/// zeros, blanks and a '+' in front are fine. `missing_seq` stands for a sequence that is not given. Nothing
/// for any other text.
std::optional<parsed_id> parse_id(std::string_view text, std::uint64_t missing_seq);

/// The longest text of an ID: two 64-bit numbers and a '-'.
inline constexpr std::size_t max_id_chars = 41;
/// Writes `ms-seq` at `out`, which has room for max_id_chars; returns the end.
char* write_id(char* out, std::uint64_t ms, std::uint64_t seq);

/// Writes the client's form of a bus's ID that Redis wrote, `ms-seq`, at `out`, which has room for
/// max_id_chars; returns the end, or null if `id` is no such text or has no form for clients. It does the
/// same as parsing, entry_to_client() and write_id(), but converts no number for the IDs that Redis makes: it
/// puts the slot's digits in front of the padded sequence.
char* write_client_id(char* out, std::string_view id, int slot);

template <typename Id>
std::string to_string(Id id) {
  char text[max_id_chars];
  return {text, write_id(text, id.ms, id.seq)};
}

}  // namespace dualbus::stream
