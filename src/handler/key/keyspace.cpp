#include "key_commands.hpp"
#include "scan_cursor.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/everywhere_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

// KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHDB, FLUSHALL over several buses.
namespace dualbus::handler {
namespace {

using command::bus_index;

// KEYS: a stream with parts on several buses is one key.
class keys_operation final : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::unordered_set<std::string_view> seen;
    std::vector<std::string_view> names;  // as encoded, which is the same on every bus
    for (const part& p : all) {
      resp::reply_reader reader(p.reply);
      for (std::size_t left = reader.next().elements; left > 0; --left) {
        const std::string_view name = reader.skip();
        if (seen.insert(name).second) names.push_back(name);
      }
    }
    answer(metrics::outcome::ok, [&names](resp::encoder& out, base::chunk_queue& raw) {
      out.array(names.size());
      for (const std::string_view name : names) raw.append(name);
    });
  }
};

// DBSIZE: to ask which keys lie on several buses would mean to read all keys, so such a stream counts on each
// of them.
class dbsize_operation final : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (const auto sum = sum_of(all)) answer_integer(*sum);
  }
};

// RANDOMKEY: every bus names one key; the more keys a bus has, the likelier its key is the answer.
class randomkey_operation final : public single_round_operation {
  using single_round_operation::single_round_operation;
  void on_start() override {
    constexpr std::string_view size[] = {"DBSIZE"}, key[] = {"RANDOMKEY"};
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      send(static_cast<bus_index>(i), size);
      send(static_cast<bus_index>(i), key);
    }
  }
  void on_round(const parts& all) override {
    constexpr std::int64_t most_keys = std::int64_t{1} << 48;  // so that the sum of 128 buses fits
    if (answer_error(all)) return;
    std::vector<std::uint64_t> keys_of_part(all.size(), 0);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < all.size(); i += 2) {
      if (resp::reply_reader(all[i + 1].reply).next().null) continue;
      keys_of_part[i + 1] = static_cast<std::uint64_t>(
          std::clamp<std::int64_t>(resp::as_integer(all[i].reply).value_or(0), 0, most_keys));
      sum += keys_of_part[i + 1];
    }
    if (sum == 0) {
      answer(metrics::outcome::ok, [](resp::encoder& out, base::chunk_queue&) { out.null(); });
      return;
    }
    std::uint64_t at = std::uniform_int_distribution<std::uint64_t>(0, sum - 1)(random());
    std::size_t chosen = 1;
    for (; at >= keys_of_part[chosen]; chosen += 2) at -= keys_of_part[chosen];
    answer(metrics::outcome::ok,
           [&](resp::encoder&, base::chunk_queue& raw) { raw.append(all[chosen].reply); });
  }

  static std::minstd_rand& random() {
    thread_local std::minstd_rand generator(std::random_device{}());
    return generator;
  }
};

// SCAN: goes from bus to bus in the order of their slots, each with its own cursor. 0 is the beginning of the
// first bus.
class scan_operation final : public gather_operation {
 public:
  scan_operation(environment& environment, session& owner, routed_request& request, resp::arguments args)
      : gather_operation(environment, owner, request, false), args_(args) {}

 protected:
  base::task<> run() override {
    const auto cursor = scan_cursor::parse(args_[1]);
    if (!cursor) {
      answer(metrics::outcome::redis_error,
             [](resp::encoder& out, base::chunk_queue&) { out.error("ERR invalid cursor"); });
      co_return;
    }
    const scan_cursor at = scan_cursor::of_client(*cursor);
    // The bus of a slot may have left the configuration since; then the next one follows.
    bus_index bus = next_from(at.slot);
    if (bus == command::no_bus) bus = next_from(0);
    const std::string own = std::to_string(at.slot == env_.buses.slot_of(bus) ? at.own : 0);
    std::vector<std::string_view> request(args_.begin(), args_.end());
    request[1] = own;
    send(bus, request);
    args_ = {};

    const parts all = co_await round();
    if (answer_error(all)) co_return;
    resp::reply_reader reader(all[0].reply);
    if (reader.next().elements != 2) {
      answer_nonsense(bus);
      co_return;
    }
    const auto reached = base::parse_uint64(reader.next().text);
    const std::optional<std::uint64_t> further =
        scan_cursor{reached.value_or(std::numeric_limits<std::uint64_t>::max()), env_.buses.slot_of(bus)}
            .for_client();
    if (!further) {
      answer_refusal("ERR dualbus: the cursor of bus '" + env_.buses.name(bus) +
                     "' leaves no room for the bus: scan that bus directly");
      co_return;
    }
    std::uint64_t next = 0;
    if (*reached != 0) {
      next = *further;
    } else if (const bus_index following = next_from(env_.buses.slot_of(bus) + 1);
               following != command::no_bus) {
      next = scan_cursor{0, env_.buses.slot_of(following)}.for_client().value();
    }
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue& raw) {
      out.array(2);
      out.bulk(std::to_string(next));
      raw.append(reader.skip());
    });
  }

 private:
  // The bus with the lowest slot that is not below `slot`; no_bus if there is none.
  bus_index next_from(int slot) const {
    bus_index found = command::no_bus;
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      if (env_.buses.slot_of(bus) < slot) continue;
      if (found == command::no_bus || env_.buses.slot_of(bus) < env_.buses.slot_of(found)) found = bus;
    }
    return found;
  }

  resp::arguments args_;
};

// FLUSHDB, FLUSHALL: step by step, in the order in which keys are removed.
class flush_operation final : public gather_operation {
 public:
  flush_operation(environment& environment, session& owner, routed_request& request, resp::arguments args)
      : gather_operation(environment, owner, request, true), args_(args.begin(), args.end()) {}

 protected:
  base::task<> run() override {
    const std::vector<std::string_view> request(args_.begin(), args_.end());
    const command::routing_table& table = env_.routing.router(database_).table();
    std::vector<bus_index> steps[3];
    for (std::size_t i = 0; i < env_.buses.count(); ++i) {
      const auto bus = static_cast<bus_index>(i);
      steps[removal_step(table, bus)].push_back(bus);
    }
    for (const std::vector<bus_index>& buses : steps) {
      for (const bus_index bus : buses) send(bus, request);
      const parts all = co_await round();
      if (answer_error(all)) co_return;
    }
    answer_ok();
  }

 private:
  std::vector<std::string> args_;
};

}  // namespace

void start_keyspace_operation(key_services& services, session& client, routed_request& request,
                              const command::command_spec& spec) {
  const auto run = [](gather_operation* op) { op->start(); };
  if (spec.name == "keys") return run(new keys_operation(services, client, request));
  if (spec.name == "scan") return run(new scan_operation(services, client, request, request.args));
  if (spec.name == "dbsize") return run(new dbsize_operation(services, client, request));
  if (spec.name == "randomkey") return run(new randomkey_operation(services, client, request));
  run(new flush_operation(services, client, request, request.args));
}

}  // namespace dualbus::handler
