#pragma once

#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::stream {

/// Merges the entries that several buses answered to one XRANGE or XREVRANGE. The replies given to add() must
/// stay where they are until write() has returned.
class range_merge {
 public:
  /// `descending` for XREVRANGE; `count` entries at most, nothing for all.
  range_merge(bool descending, std::optional<std::uint64_t> count) : descending_(descending), count_(count) {}

  /// Takes one bus's array of entries. Entries whose ID has no client form are left out and counted. False if
  /// the reply is not an array of entries.
  bool add(std::string_view reply, int slot);

  /// Sorts and cuts; call once, after the last add().
  void merge();
  /// The largest millisecond among the merged entries.
  std::optional<std::uint64_t> latest_ms() const;
  std::size_t omitted() const { return omitted_; }
  void write(resp::encoder& out, base::chunk_queue& raw) const;

 private:
  struct entry {
    client_id id;
    std::string_view fields;  // the encoded fields array
  };

  bool descending_;
  std::optional<std::uint64_t> count_;
  std::vector<entry> entries_;
  std::size_t omitted_ = 0;
};

}  // namespace dualbus::stream
