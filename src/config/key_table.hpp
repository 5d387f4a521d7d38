#pragma once

#include "values.hpp"

#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::config {

/// A setting as read. A choice fills `number` (its place in the row's choices) and `text`.
struct value {
  std::int64_t number = 0;  ///< also bytes, microseconds, mode bits
  std::string text;
  std::vector<std::string> list;
  bool operator==(const value&) const = default;
};

/// The configuration while it is being read, with what cannot be resolved before all of it was.
struct draft {
  struct type_list {
    std::string bus;
    std::vector<std::string> names;
  };
  struct key_rule {
    std::string match, bus;
  };

  configuration config;
  std::string default_bus, default_key_bus, anchor;  ///< empty: not given
  std::vector<type_list> types;
  std::vector<key_rule> keys, channels;
};

enum class value_type : std::uint8_t {
  text,  ///< its range is that of its length in bytes
  integer,
  mode,  ///< permission bits, octal
  bytes,
  duration,  ///< in microseconds
  choice,
  address,      ///< numeric IPv4 or IPv6
  socket_path,  ///< empty or absolute
  endpoint,
  pointer,   ///< JSON pointer
  bus,       ///< name of a bus
  text_list  ///< its range is that of each text's length
};

/// The place of the innermost `*` or `[]` of a path: its number in the file, and its name.
struct place {
  std::size_t index = 0;
  std::string_view name;
};

/// The place where a setting lives.
struct binding {
  void (*store)(draft&, place, value&&) = nullptr;
  /// The value in a finished configuration, to compare two; the index is a bus's. Null for a part of the
  /// routing that the assembler resolves: it can change at run time, so nobody asks.
  value (*fetch)(const configuration&, std::size_t) = nullptr;
};

/// One key. Validation, defaults, reload and the reference are made from these rows and nothing else.
struct key_row {
  std::string_view path;  ///< `*` stands for any name, `[]` for each element of a list
  value_type type = value_type::text;
  bool required = false;
  bool reload = false;  ///< can change at run time
  struct bounds {
    std::int64_t low = 0, high = 0;
    std::int64_t step = 1;  ///< only multiples of it
  } range = {};
  std::string_view choices = {};   ///< separated by '|'
  std::string_view fallback = {};  ///< the default as it would be written; empty: see `fallback_note`
  std::string_view fallback_note = {};
  std::string_view meaning = {};
  binding bind = {};
};

/// A map or list of keys.
struct section_row {
  std::string_view path;
  std::string_view shorthand = {};  ///< the key that a scalar in the section's place sets
  std::string_view example = {};    ///< an element of a list, for the error about one that is no map
  std::string_view meaning = {};    ///< for the reference
};

std::span<const key_row> key_rows();
std::span<const section_row> section_rows();

/// Null if there is none.
const key_row* find_row(std::string_view path);
const section_row* find_section(std::string_view path);

/// The names, `*` or `[]` that may follow a section's path; that of the root is empty. In table order.
std::vector<std::string_view> children_of(std::string_view section);
/// `section` and a child as one path.
std::string child_path(std::string_view section, std::string_view child);

/// Whether a mistaken value of that key or section may be a password, or hold one: then no message repeats
/// it.
bool may_be_secret(std::string_view path);

/// Reads a scalar as the row wants it, or one element of a list. Returns what is wrong, or nothing and fills
/// `out`.
std::string read_scalar(const key_row& row, std::string_view text, value& out);

std::vector<std::string_view> choices_of(const key_row& row);
/// "1 to 65535", "1ms to 5m", "up to 256 bytes"; empty if its type says it all.
std::string range_of(const key_row& row);

}  // namespace dualbus::config
