#pragma once

#include "key_watch.hpp"

#include <dualbus/stream/parking.hpp>

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace dualbus::stream::parking {

struct queue;
struct reader;

/// One key: how far each bus watches it, and who waits for it.
struct key_state {
  struct bus_part {
    key_watch watch;
    cause why = cause::none;
    std::uint64_t mark = 0;  // of the last touch; unique
    std::uint64_t news = 0;  // of the last one after which entries may be there
    base::time_point touched{};
  };

  std::string name;
  std::uint32_t number = 0;
  std::vector<bus_part> buses;
  std::unordered_map<std::string, std::unique_ptr<queue>, string_hash, std::equal_to<>> groups;
  std::list<std::unique_ptr<queue>> singles;  // of readers without a group
  base::time_point used{};

  bool waited_for() const { return !groups.empty() || !singles.empty(); }
  /// The memory that the key takes, roughly.
  std::size_t bytes() const { return 2 * name.size() + sizeof *this + buses.size() * sizeof(bus_part); }
};

/// Those who wait for one key in one group, the longest first; or one reader without a group.
struct queue {
  struct bus_part {
    std::uint64_t clean = 0;  // the key's mark at which a read found nothing; never a mark: unknown
    std::uint64_t swept = 0;  // the key's mark when somebody last looked
    base::time_point not_before{};
  };

  key_state* key = nullptr;
  std::optional<std::string> group;
  command::bus_index only = command::no_bus;
  std::vector<bus_part> buses;
  std::list<reader*> readers;
  std::list<std::unique_ptr<queue>>::iterator self;  // among the key's singles
};

struct reader {
  struct place {
    parking::queue* queue;
    std::list<reader*>::iterator position;
  };
  struct look_out {
    target where;
    bool armed;
    std::uint64_t mark;
  };

  reader_id id = 0;
  std::vector<place> places;
  std::vector<look_out> sweep;  // what it looks at now
  std::optional<base::time_point> deadline, wake;
  bool in_order = false;  // its reads are sent on the connection of the reads

  bool sweeping() const { return !sweep.empty(); }
  bool is_due(base::time_point now) const { return deadline && *deadline <= now; }
};

}  // namespace dualbus::stream::parking
