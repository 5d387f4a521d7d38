#pragma once

#include <dualbus/base/name_table.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dualbus::metrics {

/// The counts of one worker for one engine, over all its connections. Each field has its row in
/// engine_rows.hpp.
struct engine_counters {
  std::uint64_t connections = 0;  ///< gauge
  std::uint64_t commands = 0;
  std::uint64_t failed_commands = 0;     ///< of these, those whose outcome was not ok
  std::uint64_t messages_published = 0;  ///< XADDs that got an ID
  std::uint64_t messages_consumed = 0;   ///< entries delivered by XREAD and by XREADGROUP with `>`
  std::uint64_t polls_absorbed = 0;      ///< reads that the daemon answered in the place of a bus
  std::chrono::nanoseconds bus_time{};   ///< from sending to answer, over all requests to buses

  /// Adds another worker's counts of the same engine.
  engine_counters& operator+=(const engine_counters& other);
  bool operator==(const engine_counters&) const = default;
};

/// One worker's engines, by name. Rows stay where they are, so that a connection can keep a reference to its
/// engine's row. A connection counts as unknown until something tells its engine, and its earlier counts stay
/// there: a counter must not fall.
class engine_table {
 public:
  static constexpr std::string_view unknown_name = "unknown";

  explicit engine_table(std::size_t max_names) : names_(max_names) {}

  /// The row of an engine: its own if there is room, else the common one of "other". `name` is not empty.
  engine_counters& of(std::string_view name) { return names_.of(name); }
  engine_counters& unknown() { return unknown_; }
  void set_max_names(std::size_t max_names) { names_.set_max_names(max_names); }

  template <typename Visitor>  // visitor(std::string_view name, const engine_counters&)
  void visit(Visitor&& visitor) const {
    visitor(unknown_name, unknown_);
    names_.visit(visitor);
  }

 private:
  base::name_table<engine_counters> names_;
  engine_counters unknown_;
};

// The legacy client calls an engine's consumers `<engine>-engine-<id>`, and an engine may give its
// connections the names of its consumers. All these names must lead to the same row.

/// The engine that a client's name means: the part before `-engine-`, else the whole name.
std::string_view engine_of_name(std::string_view name);
/// The engine that a consumer belongs to: as above; but without `-engine-`, an ID at the end is removed with
/// its dash: decimal digits, hexadecimal ones with a decimal digit among them, or a UUID.
std::string_view engine_of_consumer(std::string_view consumer);

}  // namespace dualbus::metrics
