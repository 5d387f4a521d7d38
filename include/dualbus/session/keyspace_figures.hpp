#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace dualbus::session {

/// How many keys the buses have, by the client's number of the database.
class keyspace_figures {
 public:
  /// Adds what one bus says in INFO keyspace. Its database `first` is 0 of `databases` that clients know;
  /// others are not theirs. Lines that make no sense are passed over.
  void add(std::string_view info, int first, int databases);

  /// The section as INFO shows it, in the words of Redis 7.0. The average time to live is over the keys that
  /// have one.
  std::string section() const;

 private:
  struct figures {
    std::uint64_t keys = 0, expires = 0;
    double summed_ttl = 0;  // milliseconds
  };
  std::map<int, figures> databases_;
};

}  // namespace dualbus::session
