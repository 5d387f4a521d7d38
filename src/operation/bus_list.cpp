#include <dualbus/operation/bus_list.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::operation {

void bus_list::add(std::unique_ptr<backend::bus> bus, int id_slot) {
  buses_.push_back(std::move(bus));
  slots_.push_back(id_slot);
}

void bus_list::drop_unannounced() {
  for (const auto& b : buses_) b->drop_unannounced();
}

void bus_list::flush() {
  for (const auto& b : buses_) b->flush(now_);
}

bool bus_list::delivered() const {
  return std::all_of(buses_.begin(), buses_.end(), [](const auto& b) { return b->delivered(); });
}

void bus_list::stop() {
  for (const auto& b : buses_) b->stop(now_);
}

}  // namespace dualbus::operation
