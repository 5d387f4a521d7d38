#include "handler/refusals.hpp"
#include "stream_commands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/group_operation.hpp>
#include <dualbus/stream/info_merge.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {
namespace {

using base::equals_ignoring_case;
using command::bus_index;

/// One kind of XINFO: one round to all buses, the anchor first, because its fields are the model for the
/// merged ones.
class info_operation : public group_operation {
 public:
  info_operation(stream_environment& environment, session& owner, routed_request& request,
                 resp::arguments args)
      : group_operation(environment, owner, request, false), args_(args), key_(args[2]) {}

 protected:
  base::task<> run() final {
    ask();
    args_ = {};
    const parts all = co_await round();
    const survey seen = look_over(all);
    if (seen.problem != nullptr) co_return answer_error(*seen.problem);
    if (!seen.key_exists) co_return answer_no_key();
    merge(all, seen);
  }

  virtual void ask() = 0;
  /// Answers. No reply in `all` is an error, except that the key or group is missing.
  virtual void merge(const parts& all, const survey& seen) = 0;

  void send_anchor_first(resp::arguments args) {
    send(anchor(), args);
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      if (i != anchor()) send(static_cast<bus_index>(i), args);
    }
  }
  bool decides(command::bus_index bus) const { return bus == anchor() || is_draining(bus); }
  stream::bus_role role_of(const part& p) const {
    if (is_draining(p.bus)) return stream::bus_role::draining;
    return p.bus == anchor() ? stream::bus_role::anchor : stream::bus_role::other;
  }
  int slot_of(const part& p) const { return env_.buses.slot_of(p.bus); }
  void answer_no_key() { answer_redis_error("ERR no such key"); }

  resp::arguments args_;  // until the round is sent
  std::string key_;
};

class info_stream_operation final : public info_operation {
 public:
  using info_operation::info_operation;

 private:
  void ask() override {
    full_ = args_.size() > 3;
    if (args_.size() == 6) {
      const std::int64_t count = base::parse_int64(args_[5]).value_or(0);  // Redis refuses what is no number
      if (count >= 0) count_ = static_cast<std::uint64_t>(count);
    }
    send_anchor_first(args_);
    // The anchor's reply also says how many groups exist. A draining bus may have some that the anchor lacks.
    if (full_ || deciding_buses() == 1) return;
    const std::string_view groups[] = {"XINFO", "GROUPS", key_};
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      if (const auto bus = static_cast<bus_index>(i); decides(bus)) send(bus, groups);
    }
  }

  std::size_t deciding_buses() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < env_.buses.count(); ++i) count += decides(static_cast<bus_index>(i)) ? 1 : 0;
    return count;
  }

  void merge(const parts& all, const survey&) override {
    stream::info_merge merged;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const part& p = all[i];
      if (p.is_error()) continue;
      const bool understood = i < env_.buses.count() ? merged.add_stream(p.reply, slot_of(p), role_of(p))
                                                     : merged.add_groups(p.reply, slot_of(p), role_of(p));
      if (!understood) return answer_nonsense(p.bus);
    }
    // The groups were asked for later: the key may have been made in between.
    if (merged.no_stream()) return answer_no_key();
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue& raw) {
      full_ ? merged.write_full(count_, out, raw) : merged.write_stream(out, raw);
    });
  }

  bool full_ = false;
  std::uint64_t count_ = 10;  // Redis's default
};

/// XINFO GROUPS does not tell which consumers a group has; the description of the stream does.
class info_groups_operation final : public info_operation {
 public:
  using info_operation::info_operation;

 private:
  void ask() override {
    const std::string_view full[] = {"XINFO", "STREAM", key_, "FULL", "COUNT", "1"};
    send_anchor_first(full);
  }

  void merge(const parts& all, const survey&) override {
    stream::info_merge merged;
    for (const part& p : all) {
      if (!p.is_error() && !merged.add_stream(p.reply, slot_of(p), role_of(p))) return answer_nonsense(p.bus);
    }
    if (merged.no_stream()) return answer_no_key();
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue&) { merged.write_groups(out); });
  }
};

class info_consumers_operation final : public info_operation {
 public:
  info_consumers_operation(stream_environment& environment, session& owner, routed_request& request,
                           resp::arguments args)
      : info_operation(environment, owner, request, args), group_(args[3]) {}

 private:
  void ask() override { send_anchor_first(args_); }

  void merge(const parts& all, const survey& seen) override {
    if (!seen.group_exists) return answer_no_group_of_key(key_, group_);
    stream::info_merge merged;
    for (const part& p : all) {
      if (!p.is_error() && !merged.add_consumers(p.reply, slot_of(p))) return answer_nonsense(p.bus);
    }
    answer(metrics::outcome::ok,
           [&](resp::encoder& out, base::chunk_queue& raw) { merged.write_consumers(out, raw); });
  }

  std::string group_;
};

}  // namespace

void start_info(stream_services& services, session& client, routed_request& request) {
  const resp::arguments args = request.args;
  const auto is = [&](std::string_view name) { return equals_ignoring_case(args[1], name); };
  // Without a key, which HELP never has, a bus answers.
  if (is("help")) return refuse_arity(client, request, "xinfo|help");
  if (is("stream")) {
    (new info_stream_operation(services, client, request, args))->start();
  } else if (is("groups")) {
    if (args.size() != 3) return refuse_arity(client, request, "xinfo|groups");
    (new info_groups_operation(services, client, request, args))->start();
  } else if (is("consumers")) {
    if (args.size() != 4) return refuse_arity(client, request, "xinfo|consumers");
    (new info_consumers_operation(services, client, request, args))->start();
  } else {
    refuse_subcommand(client, request);
  }
}

}  // namespace dualbus::handler
