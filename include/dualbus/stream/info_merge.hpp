#pragma once

#include <dualbus/resp/encoder.hpp>
#include <dualbus/stream/entry_id.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace dualbus::stream {

/// A map in a reply, in either protocol: names and encoded values, in order. Views into the reply.
class field_list {
 public:
  explicit field_list(std::string_view encoded);

  /// A field's encoded value; empty if there is none.
  std::string_view operator[](std::string_view name) const;
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  std::size_t size() const { return fields_.size(); }

 private:
  std::vector<std::pair<std::string_view, std::string_view>> fields_;
};

/// One bus's description of something.
struct description {
  int slot;
  field_list fields;
};

/// Merges what several buses answered to XINFO. Fields that it does not know are those of the bus that was
/// added first, and so is their order: that should be the anchor. The replies given to the add functions must
/// stay where they are until the last write.
class info_merge {
 public:
  /// What a bus answered to XINFO STREAM, with FULL or without. `decides`: a group that it has exists.
  void add_stream(std::string_view reply, int slot, bool decides);
  /// What a bus answered to XINFO GROUPS; for how many groups exist.
  void add_groups(std::string_view reply, int slot, bool decides);
  /// What a bus answered to XINFO CONSUMERS.
  void add_consumers(std::string_view reply, int slot);

  /// XINFO STREAM without FULL, of what add_stream() was given without FULL. The number of groups is that of
  /// add_groups().
  void write_stream(resp::encoder& out, base::chunk_queue& raw) const;
  /// XINFO STREAM FULL: `count` of the entries and of each list of pending ones, 0 for all.
  void write_full(std::uint64_t count, resp::encoder& out, base::chunk_queue& raw) const;
  /// XINFO GROUPS, of what add_stream() was given with FULL.
  void write_groups(resp::encoder& out) const;
  /// XINFO CONSUMERS.
  void write_consumers(resp::encoder& out, base::chunk_queue& raw) const;

 private:
  using views = std::vector<description>;  // in the order in which the buses were added; not empty
  /// The same thing on several buses, by name, in the order of the names' bytes.
  using named = std::map<std::string_view, views>;
  struct group {
    views on;
    bool exists = false;
  };

  static named by_name(const views& owners, std::string_view field);
  static void add_by_name(std::string_view array, int slot, named& out);
  void add_group_list(std::string_view array, int slot, bool decides);
  std::size_t existing_groups() const;
  bool write_common_field(std::string_view name, resp::encoder& out) const;
  static void write_full_group(const views& on, std::uint64_t count, resp::encoder& out,
                               base::chunk_queue& raw);
  static void write_full_consumer(const views& on, std::uint64_t count, resp::encoder& out,
                                  base::chunk_queue& raw);

  views streams_;
  std::map<std::string_view, group> groups_;
  named consumers_;
};

}  // namespace dualbus::stream
