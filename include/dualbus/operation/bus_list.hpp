#pragma once

#include <dualbus/backend/bus.hpp>
#include <dualbus/base/clock.hpp>
#include <dualbus/operation/outlet.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace dualbus::operation {

/// The buses of one worker, in the order of the configuration, and the outlet for requests that go to them at
/// once.
class bus_list final : public outlet {
 public:
  /// `now` is the time of the turn; it outlives the list.
  explicit bus_list(const base::time_point& now) : now_(now) {}
  /// Ends every request that is not answered: see stop().
  ~bus_list() { stop(); }
  bus_list(const bus_list&) = delete;
  bus_list& operator=(const bus_list&) = delete;

  /// `id_slot`: the slot of the bus's entry IDs, see stream/entry_id.hpp.
  void add(std::unique_ptr<backend::bus> bus, int id_slot);

  std::size_t count() const { return buses_.size(); }
  backend::bus& bus(command::bus_index index) { return *buses_[index]; }
  const backend::bus& bus(command::bus_index index) const { return *buses_[index]; }
  const std::string& name(command::bus_index index) const { return buses_[index]->name(); }
  int slot_of(command::bus_index index) const { return slots_[index]; }
  /// Another number each time, so that not always the same bus comes first.
  std::ptrdiff_t next_rotation() { return rotation_++; }
  auto begin() const { return buses_.begin(); }
  auto end() const { return buses_.end(); }

  backend::pipeline& requests(command::bus_index bus, resp::protocol version, int database) override {
    return buses_[bus]->requests(version, database, now_);
  }
  bool staged() const override { return false; }
  void note_added(command::bus_index, std::string_view) override {}
  void note_durable(command::bus_index) override {}
  void drop_unannounced() override;

  /// Writes the requests of the turn.
  void flush();
  /// The time at which flush() must write the requests that it has left; `limit` if that is sooner.
  base::time_point next_write(base::time_point limit) const {
    for (const auto& b : buses_) {
      if (const auto& due = b->next_write()) limit = std::min(limit, *due);
    }
    return limit;
  }
  /// False while some bus may still take requests that it has not got: asked before the daemon ends.
  bool delivered() const;
  /// Ends every request that is not answered.
  void stop();

 private:
  const base::time_point& now_;
  std::vector<std::unique_ptr<backend::bus>> buses_;
  std::vector<int> slots_;
  std::ptrdiff_t rotation_ = 0;
};

}  // namespace dualbus::operation
