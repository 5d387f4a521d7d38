#include "entry_ids.hpp"
#include "stream_commands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/group_operation.hpp>
#include <dualbus/stream/bounds.hpp>
#include <dualbus/stream/pending_merge.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {
namespace {

using command::bus_index;
using stream::bound;
using stream::client_id;

class pending_summary_operation final : public group_operation {
 public:
  pending_summary_operation(stream_environment& environment, session& owner, routed_request& request,
                            resp::arguments args)
      : group_operation(environment, owner, request, false), args_(args), key_(args[1]), group_(args[2]) {}

 protected:
  base::task<> run() override {
    send_to_all(args_);
    args_ = {};
    const parts all = co_await round();
    const survey seen = look_over(all);
    if (seen.problem != nullptr) co_return answer_error(*seen.problem);
    if (!seen.group_exists) co_return answer_no_group(key_, group_);
    stream::pending_summary merged;
    for (const part& p : all) {
      if (!p.is_error() && !merged.add(p.reply, env_.buses.slot_of(p.bus))) co_return answer_nonsense(p.bus);
    }
    answer(metrics::outcome::ok, [&merged](resp::encoder& out, base::chunk_queue&) { merged.write(out); });
  }

 private:
  resp::arguments args_;  // until the first round is sent
  std::string key_, group_;
};

struct pending_range_request {
  std::string key, group;
  std::optional<std::string> min_idle, consumer;
  bound<client_id> start, end;
  std::uint64_t count = 0;
};

class pending_range_operation final : public group_operation {
 public:
  pending_range_operation(stream_environment& environment, session& owner, routed_request& request,
                          pending_range_request asked)
      : group_operation(environment, owner, request, true), what_(std::move(asked)) {}

 protected:
  base::task<> run() override {
    for (std::size_t more = 0;;) {
      for (std::size_t i = 0; i < env_.buses.count(); ++i) ask(static_cast<bus_index>(i), more);
      const parts all = co_await round();
      const survey seen = look_over(all);
      if (seen.problem != nullptr) co_return answer_error(*seen.problem);
      if (!seen.group_exists) co_return answer_no_group(what_.key, what_.group);
      stream::pending_merge merged;
      std::vector<std::size_t> left_out;
      for (const part& p : all) {
        const auto omitted = p.is_error() ? 0 : merged.add(p.reply, env_.buses.slot_of(p.bus));
        if (!omitted) co_return answer_nonsense(p.bus);
        left_out.push_back(*omitted);
      }
      // A bus has counted the entries that are left out: it is asked for as many more.
      const std::size_t most = *std::max_element(left_out.begin(), left_out.end());
      if (most > more && what_.count > 0 && !one_round_) {
        more = most;
        continue;
      }
      for (const part& p : all) note_omitted(env_, p.bus, what_.key, left_out[p.bus]);
      merged.merge(what_.count);
      answer(metrics::outcome::ok,
             [&merged](resp::encoder& out, base::chunk_queue& raw) { merged.write(out, raw); });
      co_return;
    }
  }

 private:
  // A bus that has no ID in the range is asked for no entries, but still for whether it has the group.
  void ask(bus_index bus, std::size_t more) {
    const auto from = stream::start_on(env_.buses.slot_of(bus), what_.start);
    const auto to = stream::end_on(env_.buses.slot_of(bus), what_.end);
    const bool any = from && to;
    const std::string first = any ? stream::to_string(*from) : "-", last = any ? stream::to_string(*to) : "+";
    const std::string count = any ? std::to_string(what_.count + more) : "0";
    std::vector<std::string_view> args = {"XPENDING", what_.key, what_.group};
    if (what_.min_idle) args.insert(args.end(), {"IDLE", *what_.min_idle});
    args.insert(args.end(), {first, last, count});
    if (what_.consumer) args.emplace_back(*what_.consumer);
    send(bus, args);
  }

  pending_range_request what_;
};

std::string_view bound_fault(const stream::parsed_bound& parsed, std::string_view empty_interval) {
  if (!parsed.error) return {};
  if (*parsed.error == stream::bound_error::empty_interval) return empty_interval;
  return "ERR Invalid stream ID specified as stream command argument";
}

/// Reads the arguments in the order in which Redis finds fault with them. Returns the fault, or nothing.
std::string_view parse_range(resp::arguments args, pending_range_request& out) {
  constexpr std::string_view no_integer = "ERR value is not an integer or out of range";
  if (args.size() < 6 || args.size() > 9) return "ERR syntax error";
  std::size_t at = 3;
  if (base::is_word(args[3], "idle")) {
    if (!base::parse_int64(args[4])) return no_integer;
    if (args.size() < 8) return "ERR syntax error";
    out.min_idle = args[4];
    at = 5;
  }
  const auto count = base::parse_int64(args[at + 2]);
  if (!count) return no_integer;
  const stream::parsed_bound start = stream::parse_start(args[at]);
  if (const auto fault = bound_fault(start, "ERR invalid start ID for the interval"); !fault.empty())
    return fault;
  const stream::parsed_bound end = stream::parse_end(args[at + 1]);
  if (const auto fault = bound_fault(end, "ERR invalid end ID for the interval"); !fault.empty())
    return fault;
  if (args.size() > at + 3) out.consumer = args[at + 3];
  out.key = args[1];
  out.group = args[2];
  out.start = start.value;
  out.end = end.value;
  // A count above what any stream holds is no limit; this bound leaves room to ask for more than the count.
  out.count = static_cast<std::uint64_t>(std::clamp<std::int64_t>(*count, 0, std::int64_t{1} << 48));
  return {};
}

}  // namespace

void start_pending(stream_services& services, session& client, routed_request& request) {
  if (request.args.size() == 3) {
    (new pending_summary_operation(services, client, request, request.args))->start();
    return;
  }
  pending_range_request asked;
  if (const auto fault = parse_range(request.args, asked); !fault.empty())
    return client.refuse(request, fault);
  (new pending_range_operation(services, client, request, std::move(asked)))->start();
}

}  // namespace dualbus::handler
