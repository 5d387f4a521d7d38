#pragma once

#include <dualbus/config/configuration.hpp>

#include <cstddef>
#include <cstdint>
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

/// The configuration while it is being read, with names that can be resolved only when all of it is there.
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
  endpoint_list,  ///< at least one
  pointer,        ///< JSON pointer
  bus,            ///< name of a bus
  text_list       ///< its range is that of each text's length
};

/// The place of the innermost `*` or `[]` of a path: its number in the file, and its name.
struct place {
  std::size_t index = 0;
  std::string_view name;
};

/// The place where a setting lives.
struct binding {
  void (*store)(draft&, place, value&&) = nullptr;
  /// The value in a finished configuration, for comparing two of them; the index is that of a bus. Null for
  /// parts of the routing that the assembler resolves: they can change at run time, so nobody compares them
  /// here.
  value (*fetch)(const configuration&, std::size_t) = nullptr;
};

/// One key. Validation, defaults, reload and the reference are made from these rows and nothing else.
struct key_row {
  std::string_view path;  ///< `*` stands for any name, `[]` for each element of a list
  value_type type = value_type::text;
  bool required = false;
  bool reload = false;  ///< running workers follow a change; otherwise new ones are started
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

}  // namespace dualbus::config
