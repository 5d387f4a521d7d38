#pragma once

#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace dualbus::stream {

/// The answers of several buses to XPENDING without a range. The replies given to add() must stay where they
/// are until write() has returned.
class pending_summary {
 public:
  /// False if the reply is none that Redis gives.
  bool add(std::string_view reply, int slot);
  void write(resp::encoder& out) const;

 private:
  std::int64_t total_ = 0;
  std::optional<client_id> first_, last_;
  std::map<std::string_view, std::int64_t> consumers_;  // in the order of their bytes, as Redis has them
};

/// The answers of several buses to XPENDING with a range: elements begin with an entry's ID. The replies
/// given to add() must stay where they are until write() has returned.
class pending_merge {
 public:
  /// Takes one bus's array. Returns how many elements are left out because their ID has no client form;
  /// nothing if the reply is no array.
  std::optional<std::size_t> add(std::string_view reply, int slot);
  /// Sorts and keeps `count` elements at most; call once, after the last add().
  void merge(std::uint64_t count);
  /// Appends the array of what merge() left.
  void write(resp::encoder& out, base::chunk_queue& raw) const;

 private:
  struct element {
    client_id id;
    std::size_t values;     // in the element, the ID included
    std::string_view rest;  // encoded, what follows the ID
  };

  std::vector<element> elements_;
};

}  // namespace dualbus::stream
