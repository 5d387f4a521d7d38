#include <dualbus/backend/former_place.hpp>

namespace dualbus::backend {
namespace {

// A name leads elsewhere by now, perhaps, and Sentinels do not matter any more.
config::bus_settings place_of(const link_environment& with, const connection& present) {
  config::bus_settings place = with.target;
  if (place.unix_socket.empty() && !present.peer().is_unspecified()) place.host = present.peer().to_string();
  place.sentinel = {};
  return place;
}

}  // namespace

former_place::former_place(const link_environment& with, const connection& present)
    : target_(place_of(with, present)),
      environment_{with.io,       with.poller, with.pool, with.settings,  target_,
                   with.requests, with.name,   unseen_,   log_of::nothing},
      link_(environment_, resp::protocol::resp2) {}

former_place::~former_place() {
  link_.socket.stop(base::clock::now());
}

void former_place::take_connection(link& of, base::time_point now) {
  link_.socket.take_over(of.socket, now);
}

void former_place::begin(base::time_point now) {
  if (link_.socket.state() != metrics::connection_state::up) link_.socket.start(now);
}

void former_place::tick(base::time_point now) {
  link_.socket.tick(now);
  link_.requests.tick(now);
}

}  // namespace dualbus::backend
