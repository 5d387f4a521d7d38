#include "entry_ids.hpp"
#include "stream_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/operation/group_operation.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/claims.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {
namespace {

using base::is_word;
using command::bus_index;
using stream::client_id;

/// Common to both: claims that were made are answered, whatever happened on other buses.
class claiming_operation : public group_operation {
 public:
  claiming_operation(stream_environment& environment, session& owner, routed_request& request,
                     resp::arguments args)
      : group_operation(environment, owner, request, true),
        args_(args.begin(), args.end()),
        key_(args_[1]),
        group_(args_[2]) {}

 protected:
  void log_unanswered(const part& bad) const {
    base::error_limited(
        env_.buses.name(bad.bus), "stream '{}': entries were claimed, but bus '{}' failed: {}",
        base::in_log(key_), env_.buses.name(bad.bus),
        base::in_log(bad.failed ? failure_text(env_, bad.bus, *bad.failed) : bad.reply.substr(1), 200));
  }

  /// Whether the group exists, for when nothing was claimed and no bus that would know was asked. If it does
  /// not, that has been answered.
  base::task<bool> exists() {
    const location where = co_await find_group(key_, group_);
    if (where.bus) co_return true;
    if (where.problem) {
      answer_error(*where.problem);
    } else {
      answer_no_group(key_, group_);
    }
    co_return false;
  }

  const std::vector<std::string> args_;
  const std::string_view key_, group_;  // in args_
};

// --- XCLAIM

class claim_operation final : public claiming_operation {
 public:
  /// `options` is the index behind the last ID.
  claim_operation(stream_environment& environment, session& owner, routed_request& request,
                  resp::arguments args, std::size_t options, std::vector<client_id> ids)
      : claiming_operation(environment, owner, request, args), options_(options), ids_(std::move(ids)) {}

 protected:
  base::task<> run() override {
    std::vector<std::vector<std::string>> ids(env_.buses.count());
    for (const client_id id : ids_) {
      const bus_index bus = bus_of_id(env_, id);
      if (bus != command::no_bus) ids[bus].push_back(stream::to_string(stream::to_bus(id)));
    }
    const auto is_empty = [](const std::vector<std::string>& there) { return there.empty(); };
    // No entry has this ID; but Redis looks at the options and at the group.
    if (std::all_of(ids.begin(), ids.end(), is_empty)) ids[anchor()].emplace_back("0-0");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (!ids[i].empty()) ask(static_cast<bus_index>(i), ids[i]);
    }
    const parts all = co_await round();
    const survey seen = look_over(all);
    stream::claim_merge merged;
    for (const part& p : all) {
      if (!p.is_error()) merged.add(p.reply, env_.buses.slot_of(p.bus));
    }
    if (seen.problem != nullptr) {
      if (merged.empty()) co_return answer_error(*seen.problem);
      log_unanswered(*seen.problem);
    }
    if (merged.empty() && !seen.group_exists) {
      const bool there = co_await exists();
      if (!there) co_return;
    }
    const std::vector<stream::claimed> claims = merged.in_order_of(ids_);
    answer(metrics::outcome::ok,
           [&claims](resp::encoder& out, base::chunk_queue& raw) { stream::write_claims(claims, out, raw); });
  }

 private:
  void ask(bus_index bus, const std::vector<std::string>& ids) {
    std::vector<std::string_view> request(args_.begin(), args_.begin() + 5);
    request.insert(request.end(), ids.begin(), ids.end());
    const std::size_t options = request.size();
    request.insert(request.end(), args_.begin() + static_cast<std::ptrdiff_t>(options_), args_.end());
    std::string last;
    for (std::size_t i = options; i + 1 < request.size(); ++i) {
      const auto is = [&](std::string_view word) { return is_word(request[i], word); };
      if (is("lastid")) {
        // Redis refuses a text that is no ID; of several the last one counts.
        const auto id = stream::parse_id(request[++i], 0);
        if (!id) break;
        last = stream::to_string(stream::after_on(env_.buses.slot_of(bus), {id->ms, id->seq}));
        request[i] = last;
      } else if (is("idle") || is("time") || is("retrycount")) {
        ++i;
      } else if (!is("force") && !is("justid")) {
        break;
      }
    }
    send(bus, request);
  }

  std::size_t options_;
  std::vector<client_id> ids_;
};

void start_xclaim(stream_services& services, session& client, routed_request& request) {
  std::vector<client_id> ids;
  std::size_t i = 5;
  for (; i < request.args.size(); ++i) {
    const auto id = stream::parse_id(request.args[i], 0);
    if (!id) break;
    ids.push_back({id->ms, id->seq});
  }
  (new claim_operation(services, client, request, request.args, i, std::move(ids)))->start();
}

// --- XAUTOCLAIM

struct autoclaim_request {
  stream::bound<client_id> start;
  std::uint64_t count = 100;
  bool just_id = false;
};

class autoclaim_operation final : public claiming_operation {
 public:
  autoclaim_operation(stream_environment& environment, session& owner, routed_request& request,
                      resp::arguments args, const autoclaim_request& asked)
      : claiming_operation(environment, owner, request, args),
        just_id_(asked.just_id),
        buses_(by_slot(environment)),
        walk_(slots_of(environment, buses_), asked.start, asked.count) {}

 protected:
  base::task<> run() override {
    bool group_exists = false;
    while (const auto step = walk_.next()) {
      ask(*step);
      parts all = co_await round();
      part& p = all[0];
      if (is_absence(p)) {
        walk_.skip();
      } else if (!p.is_error()) {
        group_exists |= p.bus == anchor() || is_draining(p.bus);
        note_omitted(env_, p.bus, key_, walk_.take(std::move(p.reply)));
      } else if (walk_.empty()) {
        co_return answer_error(p);
      } else {
        log_unanswered(p);
        walk_.stop();
      }
    }
    if (walk_.empty() && !group_exists) {
      const bool there = co_await exists();
      if (!there) co_return;
    }
    answer(metrics::outcome::ok,
           [this](resp::encoder& out, base::chunk_queue& raw) { walk_.write(out, raw); });
  }

 private:
  static std::vector<bus_index> by_slot(const environment& environment) {
    std::vector<bus_index> buses(environment.buses.count());
    for (std::size_t i = 0; i < buses.size(); ++i) buses[i] = static_cast<bus_index>(i);
    std::sort(buses.begin(), buses.end(), [&](bus_index a, bus_index b) {
      return environment.buses.slot_of(a) < environment.buses.slot_of(b);
    });
    return buses;
  }
  static std::vector<int> slots_of(const environment& environment, const std::vector<bus_index>& buses) {
    std::vector<int> slots;
    for (const bus_index bus : buses) slots.push_back(environment.buses.slot_of(bus));
    return slots;
  }

  void ask(const stream::autoclaim_walk::step& step) {
    const std::string count = std::to_string(step.count);
    std::vector<std::string_view> request(args_.begin(), args_.begin() + 5);
    request.insert(request.end(), {step.start, "COUNT", count});
    if (just_id_) request.emplace_back("JUSTID");
    send(buses_[step.bus], request);
  }

  bool just_id_;
  std::vector<bus_index> buses_;  // by slot
  stream::autoclaim_walk walk_;
};

/// Reads the arguments in the order in which Redis finds fault with them. Returns the fault, or nothing.
std::string_view parse_autoclaim(resp::arguments args, autoclaim_request& out) {
  // Redis's own limit: it multiplies the count by the size of an ID.
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 16;
  if (!base::parse_int64(args[4])) return "ERR Invalid min-idle-time argument for XAUTOCLAIM";
  const stream::parsed_bound start = stream::parse_start(args[5]);
  if (start.error) {
    return *start.error == stream::bound_error::invalid_id
               ? "ERR Invalid stream ID specified as stream command argument"
               : "ERR invalid start ID for the interval";
  }
  out.start = start.value;
  for (std::size_t i = 6; i < args.size(); ++i) {
    if (is_word(args[i], "count") && i + 1 < args.size()) {
      const auto count = base::parse_int64(args[++i]);
      if (!count || *count < 1 || *count > most) return "ERR COUNT must be > 0";
      out.count = static_cast<std::uint64_t>(*count);
    } else if (is_word(args[i], "justid")) {
      out.just_id = true;
    } else {
      return "ERR syntax error";
    }
  }
  return {};
}

}  // namespace

void start_claim(stream_services& services, session& client, routed_request& request) {
  if (command::command_table()[request.command].name == "xclaim")
    return start_xclaim(services, client, request);
  autoclaim_request asked;
  if (const auto fault = parse_autoclaim(request.args, asked); !fault.empty()) {
    return client.refuse(request, fault);
  }
  (new autoclaim_operation(services, client, request, request.args, asked))->start();
}

}  // namespace dualbus::handler
