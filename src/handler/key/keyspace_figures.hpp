#pragma once

#include <dualbus/handler/names.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {

/// The number of keys on the buses, by the client's number of the database.
class keyspace_figures {
 public:
  /// Adds what one bus says in INFO keyspace. Clients know `databases` databases; their number 0 is the bus's
  /// `first`. Databases of others and lines that make no sense are passed over.
  void add(std::string_view info, int first, int databases);

  /// The section as INFO shows it: the fields of Redis 7.0, then the other fields of the buses. Averages
  /// (avg_…) become averages over all buses, everything else is added up.
  std::string section() const;

 private:
  struct field {
    std::string name;
    std::uint64_t sum = 0;
    double weighted = 0;  // of an average: each bus's, times the number of its keys
  };
  static field& field_of(std::vector<field>& fields, std::string_view name);

  std::map<int, std::vector<field>> databases_;  // in the order in which the fields are shown
};

}  // namespace dualbus::handler
