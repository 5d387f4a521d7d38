#include <dualbus/base/log.hpp>
#include <dualbus/operation/bus_replies.hpp>
#include <dualbus/operation/group_operation.hpp>

#include <algorithm>
#include <string>

namespace dualbus::operation {
namespace {

using command::bus_index;

// Enough for the groups of a fleet that starts for the first time.
constexpr unsigned groups_logged = 100;

}  // namespace

// XGROUP and XINFO have other words for a missing key.
bool group_operation::is_absence(const part& p) {
  return is_no_group(p.reply) || p.reply == "-ERR no such key\r\n" ||
         p.reply.starts_with("-ERR The XGROUP subcommand requires the key to exist");
}

group_operation::survey group_operation::look_over(const parts& all) const {
  survey result;
  bool wrong_type = false;
  for (const part& p : all) {
    const bool absent = is_absence(p);
    if (p.is_error() && !absent) {
      const bool wrong = p.reply.starts_with("-WRONGTYPE");
      if (result.problem == nullptr || (wrong && !wrong_type)) result.problem = &p;
      wrong_type |= wrong;
      continue;
    }
    result.key_exists |= !absent || is_no_group(p.reply);
    if (!absent && (p.bus == anchor() || is_draining(p.bus))) result.group_exists = true;
    if (absent && !is_draining(p.bus)) result.missing.push_back(p.bus);
  }
  return result;
}

void group_operation::send_to_all(resp::arguments args) {
  for (std::size_t i = 0; i < env_.buses.count(); ++i) send(static_cast<bus_index>(i), args);
}

// XPENDING looks the group up and changes nothing.
base::task<group_operation::location> group_operation::find_group(std::string_view key,
                                                                  std::string_view group) {
  const command::routing_rules& rules = env_.routing.router().table().rules();
  std::vector<bus_index> draining;
  for (std::size_t i = 0; i < rules.buses.size(); ++i) {
    if (rules.buses[i].draining) draining.push_back(static_cast<bus_index>(i));
  }
  send_lookup(rules.anchor, key, group);
  parts found = co_await round();
  if (!found[0].is_error()) co_return location{found[0].bus, std::nullopt};
  if (!is_no_group(found[0].reply)) co_return location{std::nullopt, std::move(found[0])};

  for (const bus_index bus : draining) send_lookup(bus, key, group);
  found = co_await round();
  location result;
  for (part& p : found) {
    if (!p.is_error()) co_return location{p.bus, std::nullopt};
    if (!is_no_group(p.reply) && !result.problem) result.problem = std::move(p);
  }
  co_return result;
}

// The authority is asked again behind every creation: a group that was destroyed meanwhile must not be
// restored.
base::task<group_operation::healing> group_operation::heal(std::string_view key, std::string_view group,
                                                           std::vector<bus_index> missing) {
  location where = co_await find_group(key, group);
  if (!where.bus) co_return healing{false, std::move(where.problem)};
  const bus_index authority = *where.bus;
  const bus_index last = anchor();
  parts found;

  // The anchor comes last: from then on the group exists there.
  std::erase(missing, last);
  std::vector<bus_index> created;
  for (int step = 0; step < 2; ++step) {
    if (step == 1 && authority == last) break;
    if (step == 1) missing.assign(1, last);
    if (missing.empty()) continue;
    for (const bus_index bus : missing) {
      const std::string_view create[] = {"XGROUP", "CREATE", key, group, "0", "MKSTREAM"};
      send(bus, create);
    }
    parts made = co_await round();
    std::optional<part> problem;
    for (part& p : made) {
      if (!p.is_error()) {
        created.push_back(p.bus);
      } else if (!p.reply.starts_with("-BUSYGROUP")) {
        problem = std::move(p);
      }
    }
    send_lookup(authority, key, group);
    found = co_await round();
    if (is_no_group(found[0].reply)) {
      co_await undo(key, group, created);
      co_return healing{};
    }
    if (problem || found[0].is_error()) {
      co_return healing{false, problem ? std::move(problem) : std::move(found[0])};
    }
  }
  for (const bus_index bus : created) {
    ++env_.metrics.buses[bus].groups_healed;
    base::info_limited({{}, groups_logged},
                       "group '{}' of stream '{}' was missing on bus '{}' and has been created there",
                       base::in_log(group), base::in_log(key), env_.buses.name(bus));
  }
  co_return healing{true, std::nullopt};
}

// In the order of XGROUP CREATE: the group exists once the anchor has it.
base::task<std::optional<gather_operation::part>> group_operation::create_missing(std::string_view key,
                                                                                  std::string_view group,
                                                                                  std::string_view start,
                                                                                  bus_index only) {
  stream::key_change change;
  change.add(streams_.changes, key, only);
  std::vector<bus_index> steps[3];
  for (std::size_t i = 0; i < env_.buses.count(); ++i) {
    const auto bus = static_cast<bus_index>(i);
    if (only != command::no_bus && only != bus) continue;
    steps[is_draining(bus) ? 2 : bus == anchor() ? 1 : 0].push_back(bus);
  }
  for (const std::vector<bus_index>& buses : steps) {
    for (const bus_index bus : buses) {
      std::vector<std::string_view> create = {"XGROUP", "CREATE", key, group, start};
      // A draining bus gets no new streams.
      if (!is_draining(bus)) create.emplace_back("MKSTREAM");
      send(bus, create);
    }
    parts made = co_await round();
    std::optional<part> problem;
    for (part& p : made) {
      const bool absent = is_draining(p.bus) && only == command::no_bus && is_absence(p);
      if (!p.is_error()) {
        ++env_.metrics.buses[p.bus].groups_created;
      } else if (!p.reply.starts_with("-BUSYGROUP") && !absent) {
        problem = std::move(p);
      }
    }
    if (problem) co_return problem;
  }
  base::info_limited({{}, groups_logged},
                     "group '{}' of stream '{}' did not exist and has been created at {}",
                     base::in_log(group), base::in_log(key), start);
  streams_.parking.groups_changed(key);
  co_return std::nullopt;
}

void group_operation::answer_no_group(std::string_view key, std::string_view group) {
  answer_redis_error("NOGROUP No such key '" + in_error(key) + "' or consumer group '" + in_error(group) +
                     "'");
}

void group_operation::answer_no_group_of_key(std::string_view key, std::string_view group) {
  answer_redis_error("NOGROUP No such consumer group '" + in_error(group) + "' for key name '" +
                     in_error(key) + "'");
}

void group_operation::answer_redis_error(std::string_view text) {
  answer(metrics::outcome::redis_error, [text](resp::encoder& out, base::chunk_queue&) { out.error(text); });
}

void group_operation::send_lookup(bus_index bus, std::string_view key, std::string_view group) {
  const std::string_view lookup[] = {"XPENDING", key, group};
  send(bus, lookup);
}

// In reverse order: the anchor, which came last, is first.
base::task<> group_operation::undo(std::string_view key, std::string_view group,
                                   const std::vector<bus_index>& created) {
  for (auto bus = created.rbegin(); bus != created.rend(); ++bus) {
    const std::string_view destroy[] = {"XGROUP", "DESTROY", key, group};
    send(*bus, destroy);
    const parts all = co_await round();
    if (all[0].is_error()) {
      base::warn_limited({}, "group '{}' of stream '{}' was destroyed, but may be left on bus '{}'",
                         base::in_log(group), base::in_log(key), env_.buses.name(*bus));
    }
  }
}

}  // namespace dualbus::operation
