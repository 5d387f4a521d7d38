#include "chart_history.hpp"

#include "json_writer.hpp"

#include <algorithm>
#include <numeric>

namespace dualbus::admin {
namespace {

constexpr std::size_t last_second = 0;  // of console::windows

std::optional<float> as_figure(std::optional<double> value) {
  std::optional<float> result;
  if (value) result = static_cast<float>(*value);
  return result;
}

std::uint64_t messages_on(const console::sample& s, const std::string& type, std::size_t bus) {
  const auto found = s.types.find(type);
  if (found == s.types.end() || bus >= found->second.size()) return 0;
  const auto& counts = found->second[bus];
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

void write_figure(json_writer& out, std::optional<float> value) {
  value ? out.number(static_cast<double>(*value)) : out.null();
}

}  // namespace

std::size_t chart_history::place_of(const std::string& bus, const std::string& type) {
  const auto find = [&](const std::string& name) {
    const auto found = std::find(types_.begin(), types_.end(), type_of_bus{bus, name});
    return static_cast<std::size_t>(found - types_.begin());
  };
  const auto of_bus = static_cast<std::size_t>(
      std::count_if(types_.begin(), types_.end(), [&](const type_of_bus& t) { return t.first == bus; }));
  std::size_t place = find(type);
  if (place < types_.size()) return place;
  const std::string& name = of_bus < most_types ? type : "other";
  place = find(name);
  if (place == types_.size()) types_.emplace_back(bus, name);
  return place;
}

void chart_history::add(const daemon_snapshot& state, const console::recent& recent,
                        std::chrono::system_clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  // No finer than it is written, so that a reader can ask for what is newer.
  const auto written = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch());
  point p{std::chrono::duration<double>(written).count(), {}, {}};
  std::vector<std::string> names;
  for (std::size_t bus = 0; bus < state.bus_count(); ++bus) {
    names.push_back(state.bus_name(bus));
    const bus_status& status = state.status_of(bus);
    bus_point b;
    if (status.up && status.cpu_ratio) b.cpu_percent = static_cast<float>(*status.cpu_ratio * 100);
    if (status.up && status.info) {
      b.connections = as_figure(status.info->connected_clients);
      b.memory_bytes = as_figure(status.info->used_memory);
    }
    b.requests = as_figure(recent.rates([bus](const console::sample& s) {
      return bus < s.buses.size() ? s.buses[bus].requests : 0;
    })[last_second]);
    b.p99_ms = as_figure(recent.bus_milliseconds(bus, 0.99)[last_second]);
    p.buses.push_back(b);
    for (const auto& [type, counts] : recent.now().types) {
      if (messages_on(recent.now(), type, bus) == 0) continue;
      const auto rate = as_figure(recent.rates(
          [&, &type = type](const console::sample& s) { return messages_on(s, type, bus); })[last_second]);
      const std::size_t place = place_of(state.bus_name(bus), type);
      if (p.types.size() <= place) p.types.resize(place + 1);
      if (rate) p.types[place] = p.types[place].value_or(0) + *rate;
    }
  }
  // A reload may have changed the list of buses; the points before it mean other ones.
  if (names != buses_) points_.clear();
  buses_ = std::move(names);
  points_.push_back(std::move(p));
  if (points_.size() > most_points) points_.pop_front();
}

void chart_history::continue_from(const chart_history& before) {
  const std::scoped_lock lock(mutex_, before.mutex_);
  buses_ = before.buses_;
  types_ = before.types_;
  points_ = before.points_;
}

std::string chart_history::json_after(double after) const {
  const std::scoped_lock lock(mutex_);
  json_writer out(json_writer::layout::compact);
  out.object().name("buses").array();
  for (const std::string& bus : buses_) out.text(bus);
  out.end().name("types").array();
  for (const auto& [bus, type] : types_) out.object().name("bus").text(bus).name("type").text(type).end();
  out.end().name("points").array();
  for (const point& p : points_) {
    if (p.time <= after) continue;
    out.object().name("time").number(p.time).name("buses").array();
    for (const bus_point& b : p.buses) {
      out.array();
      for (const figure& value : {b.cpu_percent, b.requests, b.p99_ms, b.connections, b.memory_bytes})
        write_figure(out, value);
      out.end();
    }
    out.end().name("types").array();
    for (const figure& value : p.types) write_figure(out, value);
    out.end().end();
  }
  out.end().end();
  return out.take();
}

}  // namespace dualbus::admin
