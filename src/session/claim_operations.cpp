#include "entry_ids.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/session/dispatcher.hpp>
#include <dualbus/session/group_operation.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/stream_operations.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/claims.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::session {
namespace {

using base::is_word;
using command::bus_index;
using stream::client_id;

/// Common to both: claims that were made are answered, whatever happened on other buses.
class claiming_operation : public group_operation {
 public:
  claiming_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args)
      : group_operation(context, owner, command, true),
        args_(args.begin(), args.end()),
        key_(args_[1]),
        group_(args_[2]) {}

 protected:
  void log_unanswered(const part& bad) const {
    base::error_limited(
        context_.bus_name(bad.bus), "stream '{}': entries were claimed, but bus '{}' failed: {}",
        base::in_log(key_), context_.bus_name(bad.bus),
        base::in_log(bad.failed ? failure_text(context_, bad.bus, *bad.failed) : bad.reply.substr(1), 200));
  }

  /// When nothing was claimed and nobody who would know was asked: whether the group exists. If not, that has
  /// been answered.
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
// ----------------------------------------------------------------------------------------------------

class claim_operation final : public claiming_operation {
 public:
  /// `options` is the index behind the last ID.
  claim_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args,
                  std::size_t options, std::vector<client_id> ids)
      : claiming_operation(context, owner, command, args), options_(options), ids_(std::move(ids)) {}

 protected:
  base::task<> run() override {
    std::vector<std::vector<std::string>> ids(context_.bus_count());
    for (const client_id id : ids_) {
      const bus_index bus = bus_of_id(context_, id);
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
      if (!p.is_error()) merged.add(p.reply, context_.slot_of(p.bus));
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
        // Redis refuses what is no ID; of several the last one counts.
        const auto id = stream::parse_id(request[++i], 0);
        if (!id) break;
        last = stream::to_string(stream::after_on(context_.slot_of(bus), {id->ms, id->seq}));
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

void start_xclaim(worker_context& context, session& client, const request& what) {
  std::vector<client_id> ids;
  std::size_t i = 5;
  for (; i < what.args.size(); ++i) {
    const auto id = stream::parse_id(what.args[i], 0);
    if (!id) break;
    ids.push_back({id->ms, id->seq});
  }
  (new claim_operation(context, client, what.command, what.args, i, std::move(ids)))->start();
}

// --- XAUTOCLAIM
// ------------------------------------------------------------------------------------------------

struct autoclaim_request {
  stream::bound<client_id> start;
  std::uint64_t count = 100;
  bool just_id = false;
};

class autoclaim_operation final : public claiming_operation {
 public:
  autoclaim_operation(worker_context& context, session& owner, std::uint16_t command, resp::arguments args,
                      const autoclaim_request& what)
      : claiming_operation(context, owner, command, args),
        just_id_(what.just_id),
        buses_(by_slot(context)),
        walk_(slots_of(context, buses_), what.start, what.count) {}

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
        note_omitted(context_, p.bus, key_, walk_.take(std::move(p.reply)));
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
  static std::vector<bus_index> by_slot(const worker_context& context) {
    std::vector<bus_index> buses(context.bus_count());
    for (std::size_t i = 0; i < buses.size(); ++i) buses[i] = static_cast<bus_index>(i);
    std::sort(buses.begin(), buses.end(),
              [&](bus_index a, bus_index b) { return context.slot_of(a) < context.slot_of(b); });
    return buses;
  }
  static std::vector<int> slots_of(const worker_context& context, const std::vector<bus_index>& buses) {
    std::vector<int> slots;
    for (const bus_index bus : buses) slots.push_back(context.slot_of(bus));
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

/// Reads the arguments in the order in which Redis finds fault with them; the fault, or nothing.
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

void start_claim(worker_context& context, session& client, const request& what) {
  if (command::command_table()[what.command].name == "xclaim") return start_xclaim(context, client, what);
  autoclaim_request asked;
  if (const auto fault = parse_autoclaim(what.args, asked); !fault.empty()) {
    return client.refuse(what.command, fault);
  }
  (new autoclaim_operation(context, client, what.command, what.args, asked))->start();
}

}  // namespace dualbus::session
