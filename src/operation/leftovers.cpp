#include <dualbus/operation/leftovers.hpp>

#include <cstdint>
#include <string>

namespace dualbus::operation {

void give_back(backend::dedicated_pool& pool, backend::link& link, leftovers left, int bus_database,
               base::time_point now) {
  std::string undo;
  std::uint32_t count = 0;
  if (left.queue) {
    undo += "*1\r\n$7\r\nDISCARD\r\n";
    ++count;
  } else if (left.watch) {
    undo += "*1\r\n$7\r\nUNWATCH\r\n";
    ++count;
  }
  if (left.database) {
    const std::string number = std::to_string(bus_database + link.database);
    undo += "*2\r\n$6\r\nSELECT\r\n$" + std::to_string(number.size()) + "\r\n" + number + "\r\n";
    ++count;
  }
  if (count == 0) return pool.release(link, true, now);
  pool.release_after(link, undo, count, now);
}

namespace {

class nobody_sink final : public backend::reply_sink {
  void on_reply(std::uint32_t, const backend::reply_view&) override {}
  void on_failure(std::uint32_t, backend::failure) override {}
  bool abandoned() const override { return true; }
};

}  // namespace

backend::reply_sink& nobody() {
  static nobody_sink ignored;
  return ignored;
}

void append_select(const environment& environment, command::bus_index bus, int database,
                   base::chunk_queue& out) {
  const std::string number = std::to_string(environment.configuration().buses[bus].database + database);
  const std::string_view select[] = {"SELECT", number};
  resp::encoder(out).request(select);
}

}  // namespace dualbus::operation
