#include "drain_check.hpp"

#include "info_parser.hpp"

#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <utility>

namespace dualbus::admin {
namespace {

constexpr std::size_t streams_at_once = 16;
constexpr std::size_t groups_at_once = 64;
// A page of SCAN takes Redis as long as some 40 simple commands.
constexpr std::size_t scan_cost = 40;
constexpr std::string_view scan_count = "500";

constexpr std::string_view odd_answer = "the answer is not Redis's";

// True if the key is gone, or has another type by now: it is no stream of this bus any more.
bool says_no_stream(std::string_view error) {
  return error == "ERR no such key" || error.starts_with("WRONGTYPE");
}

std::string refusal(std::string_view command, std::string_view error) {
  return std::string(command) + ": " + std::string(error.empty() ? odd_answer : error);
}

}  // namespace

drain_check::drain_check(const config::configuration& configuration, const command::routing_table& table,
                         bus_links& links, quiet_databases& quiet, command::bus_index bus)
    : configuration_(configuration),
      table_(table),
      links_(links),
      quiet_(quiet),
      bus_(bus),
      database_(own_database()),
      report_(configuration.draining.quiet) {}

bool drain_check::run() {
  links_.begin();
  if (!look_into(own_database())) return false;
  const auto others = other_databases();
  if (!others) return false;
  for (const int database : *others) {
    if (!select(database) || !look_into(database)) return false;
  }
  if (!others->empty() && !select(own_database())) return false;
  std::erase_if(quiet_, [&](const auto& one) {
    return one.first != own_database() &&
           std::find(others->begin(), others->end(), one.first) == others->end();
  });
  return true;
}

bool drain_check::look_into(int database) {
  database_ = database;
  quiet_watch& quiet = quiet_[database];
  quiet.begin();
  if (!scan()) return false;
  request_batch size;
  size.add({"DBSIZE"});
  const bool counted = links_.exchange(bus_, size, [this](std::size_t, std::string_view reply) {
    const auto keys = resp::as_integer(reply);
    if (!keys || *keys < 0) return refusal("DBSIZE", error_in(reply));
    const auto count = static_cast<std::uint64_t>(*keys);
    logical() ? report_.set_keys(count) : report_.add_other_keys(count);
    return std::string();
  });
  if (counted) quiet.end();
  return counted;
}

std::optional<std::vector<int>> drain_check::other_databases() {
  request_batch batch;
  batch.add({"INFO", "keyspace"});
  std::vector<int> found;
  const bool answered = links_.exchange(bus_, batch, [&](std::size_t, std::string_view reply) {
    auto databases = read_databases(reply);
    if (!databases) return refusal("INFO keyspace", error_in(reply));
    found = std::move(*databases);
    return std::string();
  });
  if (!answered) return {};
  std::erase(found, own_database());
  if (found.empty()) return found;
  const std::string run_id = run_id_of(bus_);
  std::erase_if(found, [&](int database) { return is_of_another_bus(database, run_id); });
  return found;
}

// Two buses may be one Redis, with different databases.
bool drain_check::is_of_another_bus(int database, std::string_view run_id) {
  for (std::size_t i = 0; i < configuration_.buses.size(); ++i) {
    const auto bus = static_cast<command::bus_index>(i);
    const int first = configuration_.buses[i].database;
    if (bus == bus_ || database < first || database - first >= configuration_.databases) continue;
    if (!run_id.empty() && run_id_of(bus) == run_id) return true;
  }
  return false;
}

std::string drain_check::run_id_of(command::bus_index bus) {
  request_batch batch;
  batch.add({"INFO", "server"});
  std::string run_id;
  links_.exchange(bus, batch, [&](std::size_t, std::string_view reply) {
    run_id = read_run_id(reply);
    return std::string();
  });
  return run_id;
}

bool drain_check::select(int database) {
  request_batch batch;
  batch.add({"SELECT", std::to_string(database)});
  return links_.exchange(bus_, batch, [&](std::size_t, std::string_view reply) {
    const std::string_view error = error_in(reply);
    return error.empty() ? std::string() : refusal("SELECT " + std::to_string(database), error);
  });
}

bool drain_check::scan() {
  std::string cursor = "0";
  std::vector<std::string> waiting;
  do {
    request_batch one;
    one.add({"SCAN", cursor, "COUNT", scan_count, "TYPE", "stream"});
    scan_page page;
    const bool answered = links_.exchange(bus_, one, [&](std::size_t, std::string_view reply) {
      auto read = read_scan_page(reply);
      if (!read) return refusal("SCAN", error_in(reply));
      page = std::move(*read);
      return std::string();
    });
    if (!answered || !links_.pace(scan_cost)) return false;
    cursor = page.cursor;
    for (std::string& key : page.keys) {
      if (!quiet_[database_].first_time(key)) continue;
      const command::bus_index pinned = logical() ? table_.pinned_bus(key) : command::no_bus;
      if (pinned != command::no_bus) {
        report_.add_pinned(std::move(key), pinned);
      } else {
        waiting.push_back(std::move(key));
      }
    }
    const bool last = cursor == "0";
    while (waiting.size() >= streams_at_once || (last && !waiting.empty())) {
      const auto begin =
          waiting.end() - static_cast<std::ptrdiff_t>(std::min(waiting.size(), streams_at_once));
      const std::vector<std::string> some(std::make_move_iterator(begin),
                                          std::make_move_iterator(waiting.end()));
      waiting.erase(begin, waiting.end());
      if (!inspect(some)) return false;
    }
  } while (cursor != "0");
  return true;
}

bool drain_check::inspect(const std::vector<std::string>& keys) {
  std::vector<candidate> found;
  if (!look_at_streams(keys, found)) return false;
  std::size_t asked = keys.size();
  for (std::size_t bus = 0; logical() && bus < table_.bus_count(); ++bus) {
    const auto index = static_cast<command::bus_index>(bus);
    if (table_.bus(index).draining) continue;
    look_for_groups(index, found);
    asked += found.size();
  }
  if (!links_.pace(asked) || !look_at_groups(found)) return false;
  for (candidate& one : found) {
    for (std::size_t group = 0; group < one.stream.groups.size(); ++group) heal(one, group);
    std::size_t group = 0;
    std::erase_if(one.stream.groups, [&](const drain_group&) { return bool{one.gone[group++]}; });
    report_.add(std::move(one.stream));
  }
  return true;
}

bool drain_check::look_at_streams(const std::vector<std::string>& keys, std::vector<candidate>& found) {
  request_batch batch;
  batch.add({"TIME"});
  for (const std::string& key : keys) batch.add({"XINFO", "STREAM", key, "FULL", "COUNT", "1"});
  std::uint64_t now_ms = 0;
  return links_.exchange(bus_, batch, [&](std::size_t index, std::string_view reply) {
    const std::string_view error = error_in(reply);
    if (index == 0) {
      const auto time = read_time_ms(reply);
      if (!time) return refusal("TIME", error);
      now_ms = *time;
      return std::string();
    }
    if (says_no_stream(error)) return std::string();
    auto stream = read_stream(reply, now_ms);
    if (!stream) return refusal("XINFO STREAM", error);
    stream->key = keys[index - 1];
    stream->database = database_;
    stream->logical = logical();
    stream->quiet_for = quiet_[database_].observe(stream->key, stream->last_generated, base::clock::now());
    for (drain_group& group : stream->groups) {
      group.ignored = configuration_.draining.ignores(stream->key, group.name);
    }
    std::vector<bool> gone(stream->groups.size());
    found.push_back({std::move(*stream), std::move(gone)});
    return std::string();
  });
}

void drain_check::look_for_groups(command::bus_index bus, std::vector<candidate>& found) {
  request_batch batch;
  for (const candidate& one : found) batch.add({"XINFO", "GROUPS", one.stream.key});
  std::size_t answered = 0;
  links_.exchange(bus, batch, [&](std::size_t index, std::string_view reply) {
    const std::string_view error = error_in(reply);
    std::optional<std::vector<std::string>> names;
    // A key of another type lacks the groups, too; creating them will show the obstacle.
    if (says_no_stream(error)) {
      names.emplace();
    } else {
      names = read_group_names(reply);
    }
    if (!names) return refusal("XINFO GROUPS", error);
    std::sort(names->begin(), names->end());
    for (drain_group& group : found[index].stream.groups) {
      if (group.ignored || std::binary_search(names->begin(), names->end(), group.name)) continue;
      group.missing_on.push_back(bus);
    }
    answered = index + 1;
    return std::string();
  });
  for (; answered < found.size(); ++answered) {
    for (drain_group& group : found[answered].stream.groups) {
      if (!group.ignored) group.unknown_on.push_back(bus);
    }
  }
}

bool drain_check::look_at_groups(std::vector<candidate>& found) {
  struct question {
    candidate* one;
    std::size_t group;
    bool range;
  };
  std::vector<question> questions;
  for (candidate& one : found) {
    for (std::size_t g = 0; g < one.stream.groups.size(); ++g) {
      const drain_group& group = one.stream.groups[g];
      if (one.stream.length > 0 && group.position < one.stream.last_generated) {
        questions.push_back({&one, g, true});
      }
      if (group.pending == 0) questions.push_back({&one, g, false});
    }
  }
  for (std::size_t begin = 0; begin < questions.size(); begin += groups_at_once) {
    const std::size_t count = std::min(groups_at_once, questions.size() - begin);
    request_batch batch;
    for (std::size_t i = begin; i < begin + count; ++i) {
      const drain_stream& stream = questions[i].one->stream;
      const drain_group& group = stream.groups[questions[i].group];
      if (questions[i].range) {
        batch.add({"XRANGE", stream.key, "(" + stream::to_string(group.position), "+", "COUNT", "1"});
      } else {
        batch.add({"XPENDING", stream.key, group.name});
      }
    }
    const bool answered = links_.exchange(bus_, batch, [&](std::size_t index, std::string_view reply) {
      const question& asked = questions[begin + index];
      drain_group& group = asked.one->stream.groups[asked.group];
      const std::string_view error = error_in(reply);
      if (says_no_stream(error) || error.starts_with("NOGROUP")) {
        asked.one->gone[asked.group] = true;
        return std::string();
      }
      if (asked.range) {
        const auto start = read_range_start(reply);
        if (!start) return refusal("XRANGE", error);
        group.next = start->first;
      } else {
        const auto total = read_pending_total(reply);
        if (!total) return refusal("XPENDING", error);
        group.pending = *total;
      }
      return std::string();
    });
    if (!answered || !links_.pace(count)) return false;
  }
  return true;
}

void drain_check::heal(candidate& one, std::size_t group) {
  drain_group& found = one.stream.groups[group];
  if (found.missing_on.empty() || one.gone[group]) return;
  const command::bus_index anchor = table_.rules().anchor;
  std::stable_partition(found.missing_on.begin(), found.missing_on.end(),
                        [anchor](command::bus_index bus) { return bus != anchor; });
  while (!found.missing_on.empty()) {
    const command::bus_index bus = found.missing_on.front();
    if (bus == anchor && !found.unknown_on.empty()) return;
    switch (heal_on(bus, one.stream.key, found.name)) {
      case heal_result::there:
        found.missing_on.erase(found.missing_on.begin());
        break;
      case heal_result::gone:
        one.gone[group] = true;
        return;
      case heal_result::failed:
        return;
    }
  }
}

std::map<command::bus_index, std::string> drain_check::errors() const {
  std::map<command::bus_index, std::string> all = links_.errors();
  all.insert(troubles_.begin(), troubles_.end());
  return all;
}

drain_check::heal_result drain_check::heal_on(command::bus_index bus, const std::string& key,
                                              const std::string& group) {
  if (!links_.pace(3)) return heal_result::failed;
  const auto before = authority_has(key, group);
  if (!before) return heal_result::failed;
  if (!*before) return heal_result::gone;

  request_batch create;
  create.add({"XGROUP", "CREATE", key, group, "0", "MKSTREAM"});
  std::string refused;
  const bool answered = links_.exchange(bus, create, [&](std::size_t, std::string_view reply) {
    refused = error_in(reply);
    return std::string();
  });
  if (!answered) return heal_result::failed;
  if (refused.starts_with("BUSYGROUP")) return heal_result::there;
  if (!refused.empty()) {
    // The error concerns this stream only, such as a key of another type in its place: the others go on.
    troubles_.try_emplace(bus, "XGROUP CREATE of group '" + printable_name(group) + "' of stream '" +
                                   printable_name(key) + "': " + printable_name(refused));
    return heal_result::failed;
  }

  const auto after = authority_has(key, group);
  // If it is unknown, the group stays. Its authority had it a moment ago, and entries read with it must not
  // be lost.
  if (after.value_or(true)) {
    ++healed_;
    base::info_limited({name_of(bus), 100},
                       "bus {}: created group '{}' of stream '{}', which draining bus {} has", name_of(bus),
                       base::in_log(group), base::in_log(key), name_of(bus_));
    return heal_result::there;
  }
  request_batch destroy;
  destroy.add({"XGROUP", "DESTROY", key, group});
  links_.exchange(bus, destroy,
                  [](std::size_t, std::string_view reply) { return std::string(error_in(reply)); });
  return heal_result::gone;
}

std::optional<bool> drain_check::authority_has(const std::string& key, const std::string& group) {
  request_batch batch;
  batch.add({"XINFO", "GROUPS", key});
  bool has = false;
  const bool answered = links_.exchange(bus_, batch, [&](std::size_t, std::string_view reply) {
    const std::string_view error = error_in(reply);
    if (says_no_stream(error)) return std::string();
    const auto names = read_group_names(reply);
    if (!names) return refusal("XINFO GROUPS", error);
    has = std::find(names->begin(), names->end(), group) != names->end();
    return std::string();
  });
  if (!answered) return {};
  return has;
}

}  // namespace dualbus::admin
