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
  bool has(std::string_view name) const { return !(*this)[name].empty(); }
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

/// The meaning of a bus's having a group or not.
enum class bus_role : std::uint8_t {
  anchor,    ///< what it has exists; what it lacks will be created there, from the beginning
  draining,  ///< what it has exists; what it lacks stays missing there
  other      ///< what it has need not exist; what it lacks will be created there, from the beginning
};

/// Merges the answers of several buses to XINFO. Unknown fields are those of the bus that was added first,
/// and so is the order of all fields: the first bus should be the anchor. The replies given to the add
/// functions must stay where they are until the last write. An add function returns false if the reply is
/// none that Redis gives, and takes nothing from it. Nothing has to be added; several replies of one bus may
/// be of different moments, so that one tells of what another one lacks.
class info_merge {
 public:
  /// Takes a bus's answer to XINFO STREAM, with FULL or without.
  bool add_stream(std::string_view reply, int slot, bus_role role);
  /// Takes a bus's answer to XINFO GROUPS, for the number of groups. It is needed of the buses that decide
  /// about groups, if there are several.
  bool add_groups(std::string_view reply, int slot, bus_role role);
  /// Takes a bus's answer to XINFO CONSUMERS.
  bool add_consumers(std::string_view reply, int slot);
  /// No bus has described the stream: there is none, and nothing to write of it.
  bool no_stream() const { return streams_.empty(); }

  /// Writes XINFO STREAM without FULL, from the answers without FULL that add_stream() was given. The number
  /// of groups is that which add_groups() was told of, and no less than any deciding bus says that it has.
  void write_stream(resp::encoder& out, base::chunk_queue& raw) const;
  /// Writes XINFO STREAM FULL: `count` of the entries and of each list of pending ones, 0 for all.
  void write_full(std::uint64_t count, resp::encoder& out, base::chunk_queue& raw) const;
  /// Writes XINFO GROUPS, from the answers with FULL that add_stream() was given.
  void write_groups(resp::encoder& out) const;
  /// Writes XINFO CONSUMERS.
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
  static bool add_by_name(std::string_view array, int slot, named& out);
  bool add_group_list(std::string_view array, int slot, bus_role role);
  std::size_t existing_groups() const;
  /// The stream on the buses that have no part of `g` yet and will get one: nothing there was delivered to
  /// it.
  std::vector<const description*> untouched_by(const group& g) const;
  bool write_common_field(std::string_view name, resp::encoder& out) const;
  bool write_progress(const group& g, std::string_view name, resp::encoder& out) const;
  void write_full_group(const group& g, std::uint64_t count, resp::encoder& out,
                        base::chunk_queue& raw) const;
  static void write_full_consumer(const views& on, std::uint64_t count, resp::encoder& out,
                                  base::chunk_queue& raw);

  views streams_;
  std::vector<bus_role> roles_;    // by stream
  std::size_t groups_on_one_ = 0;  // the most that one of the deciding buses counts
  std::map<std::string_view, group> groups_;
  named consumers_;
};

}  // namespace dualbus::stream
