#include "key_commands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/operation/everywhere_operation.hpp>
#include <dualbus/operation/gather_operation.hpp>
#include <dualbus/resp/reply_reader.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace dualbus::handler {
namespace {

using command::bus_index;

// The request's own bytes are gone when a later round is sent.
std::vector<std::string> copy(resp::arguments args) {
  return {args.begin(), args.end()};
}

// --- MGET, MSET: each key has one bus; the keys of one bus go together

class keys_by_bus_operation : public single_round_operation {
 public:
  keys_by_bus_operation(environment& environment, session& owner, routed_request& request,
                        resp::arguments args, const std::vector<std::uint32_t>& keys, std::uint32_t step)
      : single_round_operation(environment, owner, request), args_(args), keys_(keys), step_(step) {}

 protected:
  void on_start() override {
    const command::routing_table& table = env_.routing.router(database_).table();
    std::vector<std::vector<std::string_view>> requests(env_.buses.count());
    for (const std::uint32_t position : keys_) {
      const bus_index bus = table.bus_of_key(args_[position]);
      auto& request = requests[bus];
      if (request.empty()) request.push_back(args_[0]);
      for (std::uint32_t i = 0; i < step_; ++i) request.push_back(args_[position + i]);
      bus_of_key_.push_back(bus);
    }
    for (std::size_t bus = 0; bus < requests.size(); ++bus) {
      if (!requests[bus].empty()) send(static_cast<bus_index>(bus), requests[bus]);
    }
    args_ = {};  // used in the first round only, which is the only one
  }

  std::vector<bus_index> bus_of_key_;

 private:
  resp::arguments args_;
  const std::vector<std::uint32_t>& keys_;
  std::uint32_t step_;
};

class mset_operation final : public keys_by_bus_operation {
  using keys_by_bus_operation::keys_by_bus_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    answer(metrics::outcome::ok, [](resp::encoder& out, base::chunk_queue&) { out.status("OK"); });
  }
};

class mget_operation final : public keys_by_bus_operation {
  using keys_by_bus_operation::keys_by_bus_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::vector<resp::reply_reader> readers(env_.buses.count(), resp::reply_reader({}));
    for (const part& p : all) {
      readers[p.bus] = resp::reply_reader(p.reply);
      const auto keys = static_cast<std::size_t>(std::count(bus_of_key_.begin(), bus_of_key_.end(), p.bus));
      if (const resp::reply_value head = readers[p.bus].next(); head.type != '*' || head.elements != keys) {
        return answer_nonsense(p.bus);
      }
    }
    answer(metrics::outcome::ok, [&](resp::encoder& out, base::chunk_queue& raw) {
      out.array(bus_of_key_.size());
      for (const bus_index bus : bus_of_key_) raw.append(readers[bus].skip());
    });
  }
};

// --- DEL, UNLINK: per key, on every bus that may hold a part; the buses that decide about groups come first

class remove_operation final : public gather_operation {
 public:
  remove_operation(environment& environment, session& owner, routed_request& request, resp::arguments args)
      : gather_operation(environment, owner, request, true),
        args_(copy(args)),
        removed_(args.size() - 1, false) {
    // Draining buses come first, then the anchor, then the others: in another order a poll could bring a
    // group back. EXEC asks all at once.
    const command::routing_table& table = environment.routing.router(owner.database()).table();
    for (std::size_t key = 0; key < removed_.size(); ++key) {
      if (const bus_index pinned = table.pinned_bus(args_[key + 1]); pinned != command::no_bus) {
        steps_[1].push_back({key, pinned});
        continue;
      }
      for (std::size_t i = 0; i < table.bus_count(); ++i) {
        const auto bus = static_cast<bus_index>(i);
        steps_[one_round_ ? 1 : removal_step(table, bus)].push_back({key, bus});
      }
    }
  }

 protected:
  base::task<> run() override {
    for (const std::vector<removal>& step : steps_) {
      for (const removal& r : step) {
        const std::string_view request[] = {args_[0], args_[r.key + 1]};
        send(r.bus, request);
      }
      const parts all = co_await round();
      if (answer_error(all)) co_return;
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (resp::as_integer(all[i].reply).value_or(0) > 0) removed_[step[i].key] = true;
      }
    }
    answer_integer(std::count(removed_.begin(), removed_.end(), true));
  }

 private:
  struct removal {
    std::size_t key;
    bus_index bus;
  };

  std::vector<std::string> args_;
  std::vector<bool> removed_;
  std::vector<removal> steps_[3];
};

// --- one round that asks every bus that may hold a part of a key

class ask_operation : public single_round_operation {
 public:
  ask_operation(environment& environment, session& owner, routed_request& request, resp::arguments args,
                const std::vector<std::uint32_t>& keys)
      : single_round_operation(environment, owner, request), args_(args), key_positions_(keys) {}

 protected:
  void on_start() override {
    const command::routing_table& table = env_.routing.router(database_).table();
    // Several keys are asked for one by one: only then is it known which of them was found.
    const bool one_by_one = key_positions_.size() > 1;
    std::vector<std::string_view> request(args_.begin(), args_.end());
    for (std::size_t key = 0; key < key_positions_.size(); ++key) {
      if (one_by_one) request = {args_[0], args_[key_positions_[key]]};
      const bus_index pinned = table.pinned_bus(args_[key_positions_[key]]);
      for (std::size_t i = 0; i < table.bus_count(); ++i) {
        const auto bus = static_cast<bus_index>(i);
        if (pinned != command::no_bus && pinned != bus) continue;
        keys_.push_back(key);
        send(bus, request);
      }
    }
    args_ = {};
  }

  std::vector<std::size_t> keys_;  // by part: the key it asked for

 private:
  resp::arguments args_;
  const std::vector<std::uint32_t>& key_positions_;
};

// EXISTS, TOUCH: a key counts once, wherever it was found.
class count_operation final : public ask_operation {
  using ask_operation::ask_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::vector<bool> found(keys_.back() + 1, false);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (resp::as_integer(all[i].reply).value_or(0) > 0) found[keys_[i]] = true;
    }
    answer_integer(std::count(found.begin(), found.end(), true));
  }
};

// EXPIRE and its kin, PERSIST: 1 if it did something anywhere.
class expire_operation final : public ask_operation {
  using ask_operation::ask_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::int64_t result = 0;
    for (const part& p : all) result = std::max(result, resp::as_integer(p.reply).value_or(0));
    answer_integer(result);
  }
};

// TTL and its kin: -2 if the key is nowhere, -1 if a part of it does not expire, else the longest time to
// live.
class ttl_operation final : public ask_operation {
  using ask_operation::ask_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::int64_t longest = -2;
    bool endless = false;
    for (const part& p : all) {
      const std::int64_t value = resp::as_integer(p.reply).value_or(-2);
      endless |= value == -1;
      longest = std::max(longest, value);
    }
    answer_integer(endless ? -1 : longest);
  }
};

// TYPE: a stream if any bus has one, else the answer of the bus of keys that are no streams.
class type_operation final : public ask_operation {
  using ask_operation::ask_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    const bus_index fallback = env_.routing.router().table().rules().default_key_bus;
    std::string_view type = "+none\r\n";
    for (const part& p : all) {
      if (p.reply == "+stream\r\n") {
        type = p.reply;
        break;
      }
      if (p.bus == fallback) type = p.reply;
    }
    answer(metrics::outcome::ok, [type](resp::encoder&, base::chunk_queue& raw) { raw.append(type); });
  }
};

bool is_null(std::string_view reply) {
  return resp::reply_reader(reply).next().null;
}

// OBJECT: the bus of keys that are no streams if it has the key, else the first bus that has it.
class object_operation final : public ask_operation {
  using ask_operation::ask_operation;
  void on_round(const parts& all) override {
    const bus_index preferred = env_.routing.router().table().rules().default_key_bus;
    const part* best = nullptr;
    for (const part& p : all) {
      if (p.is_error()) continue;
      if (best == nullptr || (is_null(best->reply) && !is_null(p.reply)) ||
          (p.bus == preferred && !is_null(p.reply))) {
        best = &p;
      }
    }
    // A bus that cannot be asked may be the one that has the key.
    if (best == nullptr || (is_null(best->reply) && answer_error(all))) {
      if (best == nullptr) answer_error(all);
      return;
    }
    answer(metrics::outcome::ok, [best](resp::encoder&, base::chunk_queue& raw) { raw.append(best->reply); });
  }
};

// MEMORY USAGE: the sum over all parts.
class memory_operation final : public ask_operation {
  using ask_operation::ask_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    std::int64_t sum = 0;
    bool found = false;
    for (const part& p : all) {
      const auto bytes = resp::as_integer(p.reply);
      found |= bytes.has_value();
      sum = base::add_saturated(sum, bytes.value_or(0));
    }
    if (found) return answer_integer(sum);
    answer(metrics::outcome::ok, [](resp::encoder& out, base::chunk_queue&) { out.null(); });
  }
};

// MEMORY DOCTOR, MALLOC-STATS and PURGE: each bus's answer, or OK.
class memory_report_operation final : public everywhere_operation {
  using everywhere_operation::everywhere_operation;
  void on_round(const parts& all) override {
    if (answer_error(all)) return;
    if (all[0].reply[0] == '+') return answer_ok();
    std::string text;
    for (const part& p : all) {
      text += "# " + env_.buses.name(p.bus) + "\n";
      text += resp::reply_reader(p.reply).next().text;
      if (!text.ends_with('\n')) text += '\n';
    }
    answer(metrics::outcome::ok, [&text](resp::encoder& out, base::chunk_queue&) { out.verbatim(text); });
  }
};

}  // namespace

void start_split_keys(key_services& services, session& client, routed_request& request,
                      const command::command_spec& spec) {
  const auto ask = [&]<typename Operation>(Operation* op) { op->start(); };
  switch (spec.route) {
    case command::route::mget:
      return ask(new mget_operation(services, client, request, request.args, request.plan.keys, 1));
    case command::route::mset:
      return ask(new mset_operation(services, client, request, request.args, request.plan.keys, 2));
    case command::route::remove:
      return ask(new remove_operation(services, client, request, request.args));
    case command::route::count:
      return ask(new count_operation(services, client, request, request.args, request.plan.keys));
    case command::route::type:
      return ask(new type_operation(services, client, request, request.args, request.plan.keys));
    case command::route::expire:
      return ask(new expire_operation(services, client, request, request.args, request.plan.keys));
    case command::route::ttl:
      return ask(new ttl_operation(services, client, request, request.args, request.plan.keys));
    case command::route::object:
      return ask(new object_operation(services, client, request, request.args, request.plan.keys));
    case command::route::memory:
      if (request.plan.keys.empty()) return ask(new memory_report_operation(services, client, request));
      return ask(new memory_operation(services, client, request, request.args, request.plan.keys));
    default:
      break;
  }
}

}  // namespace dualbus::handler
