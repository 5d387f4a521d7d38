#include "leftovers.hpp"

#include <cstdint>
#include <string>

namespace dualbus::session {

void give_back(backend::dedicated_pool& pool, backend::link& link, leftovers what, int bus_database,
               base::time_point now) {
  std::string undo;
  std::uint32_t count = 0;
  if (what.queue) {
    undo += "*1\r\n$7\r\nDISCARD\r\n";
    ++count;
  } else if (what.watch) {
    undo += "*1\r\n$7\r\nUNWATCH\r\n";
    ++count;
  }
  if (what.database) {
    const std::string number = std::to_string(bus_database + link.database);
    undo += "*2\r\n$6\r\nSELECT\r\n$" + std::to_string(number.size()) + "\r\n" + number + "\r\n";
    ++count;
  }
  if (count == 0) return pool.release(link, true, now);
  pool.release_after(link, undo, count, now);
}

}  // namespace dualbus::session
