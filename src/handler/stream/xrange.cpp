#include "stream_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/range_merge.hpp>
#include <dualbus/stream/stable_read.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

namespace dualbus::handler {
namespace {

using command::bus_index;
using stream::bound;
using stream::client_id;

struct range_request {
  bool reverse = false;
  bound<client_id> start, end;
  std::optional<std::int64_t> count;  // 0: as in Redis, a null array if the key exists
};

/// XRANGE and XREVRANGE of a logical stream. Each round asks every bus for its time and its part of the
/// range, see stream/stable_read.hpp.
class range_operation final : public gather_operation {
 public:
  range_operation(environment& environment, session& owner, routed_request& request, std::string_view key,
                  const range_request& asked)
      : gather_operation(environment, owner, request, true),
        key_(key),
        what_(asked),
        stable_(environment.turn.now),
        omitted_on_(environment.buses.count()) {}

 protected:
  base::task<> run() override {
    std::optional<std::uint64_t> limit;
    if (what_.count) limit = static_cast<std::uint64_t>(*what_.count);
    for (;;) {
      ask();
      const parts all = co_await round();
      if (answer_error(all)) co_return;
      if (what_.count && *what_.count == 0) {
        answer_nothing(all);
        co_return;
      }
      stream::range_merge merged(what_.reverse, limit);
      std::uint64_t horizon = std::numeric_limits<std::uint64_t>::max(), newest = 0;
      for (std::size_t i = 0; i < asked_.size(); ++i) {
        const std::uint64_t clock = stream::milliseconds_of_time(all[2 * i].reply);
        horizon = std::min(horizon, clock);
        newest = std::max(newest, clock);
        omitted_on_[asked_[i]] = merged.omitted();
        if (!merged.add(all[2 * i + 1].reply, env_.buses.slot_of(asked_[i])))
          co_return answer_nonsense(asked_[i]);
        omitted_on_[asked_[i]] = merged.omitted() - omitted_on_[asked_[i]];
      }
      merged.merge();
      if (env_.buses.count() > 1 && !one_round_) {
        const auto decision = stable_.judge(horizon, merged.latest_ms(), env_.turn.now, newest);
        if (!decision.reply) {
          co_await pause(decision.wait);
          continue;
        }
      }
      if (stable_.gave_up()) ++env_.metrics.unstable_reads;
      // A bus has counted the entries that are left out: it is asked for as many more.
      if (what_.count && merged.omitted() > omitted_ && !one_round_) {
        omitted_ = merged.omitted();
        continue;
      }
      report_omitted(merged.omitted());
      answer(metrics::outcome::ok,
             [&merged](resp::encoder& out, base::chunk_queue& raw) { merged.write(out, raw); });
      co_return;
    }
  }

 private:
  void ask() {
    bound<client_id> end = what_.end;
    if (const auto limit = stable_.limit_ms()) {
      const client_id last{*limit, std::numeric_limits<std::uint64_t>::max()};
      if (last < end.id) end = {last, false};
    }
    asked_.clear();
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      const auto from = stream::start_on(env_.buses.slot_of(bus), what_.start);
      const auto to = stream::end_on(env_.buses.slot_of(bus), end);
      asked_.push_back(bus);
      const std::string_view time[] = {"TIME"};
      send(bus, time);
      // A bus without an ID in the range still says what kind of key it has.
      const bool none = !from || !to;
      const std::string first = none ? "+" : stream::to_string(*from);
      const std::string last = none ? "-" : stream::to_string(*to);
      const std::string count = std::to_string(what_.count.value_or(0) + static_cast<std::int64_t>(omitted_));
      std::vector<std::string_view> request = {what_.reverse ? "XREVRANGE" : "XRANGE", key_,
                                               what_.reverse ? last : first, what_.reverse ? first : last};
      if (what_.count) request.insert(request.end(), {"COUNT", count});
      send(bus, request);
    }
  }

  void report_omitted(std::size_t count) {
    for (const bus_index bus : asked_) env_.metrics.buses[bus].entries_omitted += omitted_on_[bus];
    if (count == 0) return;
    base::error_limited(
        {},
        "stream '{}': {} entries left out of a range: their IDs were not made by Redis's clock and have no "
        "client form",
        base::in_log(key_), count);
  }

  void answer_nothing(const parts& all) {
    const bool exists = std::any_of(all.begin(), all.end(),
                                    [](const part& p) { return resp::reply_reader(p.reply).next().null; });
    answer(metrics::outcome::ok, [exists](resp::encoder& out, base::chunk_queue&) {
      if (exists) return out.null_array();
      out.array(0);
    });
  }

  std::string key_;
  range_request what_;
  stream::stable_read stable_;
  std::size_t omitted_ = 0;
  std::vector<std::size_t> omitted_on_;  // by bus
  std::vector<bus_index> asked_;         // each has two parts: TIME and its range
};

/// The error that Redis gives for a bound, or nothing.
std::string_view bound_problem(const stream::parsed_bound& parsed, bool start) {
  if (!parsed.error) return {};
  if (*parsed.error == stream::bound_error::invalid_id) {
    return "ERR Invalid stream ID specified as stream command argument";
  }
  return start ? "ERR invalid start ID for the interval" : "ERR invalid end ID for the interval";
}

/// Reads the arguments in the order in which Redis finds fault with them. Returns the fault, or nothing.
std::string_view parse_range(resp::arguments args, bool reverse, range_request& out) {
  const stream::parsed_bound start = stream::parse_start(args[reverse ? 3 : 2]);
  if (const auto problem = bound_problem(start, true); !problem.empty()) return problem;
  const stream::parsed_bound end = stream::parse_end(args[reverse ? 2 : 3]);
  if (const auto problem = bound_problem(end, false); !problem.empty()) return problem;
  for (std::size_t i = 4; i < args.size(); i += 2) {
    if (!base::is_word(args[i], "count") || i + 1 == args.size()) return "ERR syntax error";
    const auto count = base::parse_int64(args[i + 1]);
    if (!count) return "ERR value is not an integer or out of range";
    // A count above what any stream holds is no limit; this bound leaves room to ask for more than the count.
    out.count = std::clamp<std::int64_t>(*count, 0, std::int64_t{1} << 48);
  }
  out.reverse = reverse;
  out.start = start.value;
  out.end = end.value;
  return {};
}

}  // namespace

void start_range(stream_services& services, session& client, routed_request& request) {
  const bool reverse = command::command_table()[request.command].name == "xrevrange";
  range_request asked;
  if (const auto problem = parse_range(request.args, reverse, asked); !problem.empty())
    return client.refuse(request, problem);
  (new range_operation(services, client, request, request.args[1], asked))->start();
}

}  // namespace dualbus::handler
