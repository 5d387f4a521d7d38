#include "event_loop.hpp"

namespace dualbus::fleet {
namespace {

constexpr std::size_t chunk_bytes = 16 * 1024, max_free_chunks = 1024;
// Under load the poller is asked again at once, but timers must not wait for long.
constexpr int turns_in_a_row = 4;
constexpr int busy_events = 4;

}  // namespace

event_loop::event_loop() : io_(1), chunks_(chunk_bytes, max_free_chunks), traffic_(io_, poller_.fd()) {}

event_loop::~event_loop() {
  traffic_.release();  // the poller closes it
}

void event_loop::run() {
  await_traffic();
  io_.run();
}

void event_loop::await_traffic() {
  traffic_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error) return;
                        for (int turn = 0; turn < turns_in_a_row; ++turn) {
                          poller_.wait({});
                          if (poller_.dispatch() < busy_events) break;
                        }
                        await_traffic();
                      });
}

}  // namespace dualbus::fleet
