#include <dualbus/base/c_string.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/command/router.hpp>

#include <algorithm>
#include <iterator>

namespace dualbus::command {
namespace {

std::string upper(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return result;
}

void refuse(plan& out, std::string text) {
  out.what = plan::action::refuse;
  out.error = std::move(text);
}

void refuse_unsupported(const command_spec& spec, plan& out, std::string_view reason) {
  refuse(out, "NOTSUPPORTED command '" + upper(spec.name) + "' " + std::string(reason));
}

void refuse_crossing(const command_spec& spec, plan& out) {
  refuse(out, "CROSSBUS command '" + upper(spec.name) +
                  "' has keys on different buses and cannot be split: pin them to one bus with routing.keys");
}

bool has_block_option(resp::arguments args) {
  for (std::size_t i = 1; i + 1 < args.size(); ++i) {
    if (base::is_word(args[i], "group")) {
      i += 2;
    } else if (base::is_word(args[i], "streams")) {
      return false;
    } else if (base::is_word(args[i], "block")) {
      return true;
    } else if (base::is_word(args[i], "count")) {
      ++i;
    }
  }
  return false;
}

// Subcommands of MEMORY that name no key: about each server, about one, or such that any bus may answer them
// or find fault with them.
enum class memory_report : std::uint8_t { of_each, of_one, of_any };

memory_report find_memory_report(resp::arguments args) {
  const auto is = [&](std::string_view word) { return base::is_word(args[1], word); };
  if (args.size() != 2) return memory_report::of_any;
  if (is("stats")) return memory_report::of_one;
  return is("doctor") || is("malloc-stats") || is("purge") ? memory_report::of_each : memory_report::of_any;
}

// True for CONFIG SET of a parameter that the daemon's own connections depend on.
bool locks_out(resp::arguments args) {
  for (std::size_t i = 2; i < args.size(); i += 2) {
    for (const std::string_view name : {"requirepass", "port", "tls-port", "bind"}) {
      if (base::is_word(args[i], name)) return true;
    }
  }
  return false;
}

}  // namespace

router::router(const routing_table& table, message_counters& counters, waiting_reads waiting)
    : table_(table),
      classifier_(table, counters),
      single_(table.bus_count() == 1),
      transparent_(single_ && table.bus(0).id_slot == 0),
      waiting_(waiting),
      passing_(single_ && table.rules().server_commands == server_commands::passed) {}

void router::forward(bus_index bus, plan& out) const {
  out.what = plan::action::forward;
  out.bus = bus;
}

void router::foresee(const command_spec& spec, resp::arguments args, plan& out) {
  counting_ = false;
  make_plan(spec, args, out);
  counting_ = true;
}

void router::make_plan(const command_spec& spec, resp::arguments args, plan& out) {
  switch (spec.route) {
    case route::local:
      if (passing_ && passes(spec, args)) return forward(0, out);
      if (has_fact(facts_of(spec, args), fact::for_any_redis))
        return forward(table_.rules().default_bus, out);
      out.what = plan::action::local;
      return;
    case route::transaction:
    case route::subscribe:
    case route::pubsub:
      out.what = plan::action::local;
      return;
    case route::keys:
      if (spec.keys == key_form::range && spec.first_key == 1 && spec.last_key == 1) {
        return forward(table_.bus_of_key(args[1]), out);
      }
      return plan_keys(spec, args, out);
    case route::sort:
      return plan_sort(spec, args, out);
    case route::xadd:
      return plan_xadd(args, out);
    case route::mget:
    case route::mset:
    case route::remove:
    case route::count:
    case route::type:
    case route::expire:
    case route::ttl:
    case route::object:
    case route::memory:
      return plan_spread(spec, args, out);
    case route::xread:
    case route::stream:
    case route::xother:
    case route::whole:
      return plan_stream(spec, args, out);
    case route::blocking:
      return plan_blocking(spec, args, out);
    case route::publish: {
      const classification where = classifier_.classify_publish(args[1], args[2], counting_);
      out.rule = where.rule;
      return forward(where.bus, out);
    }
    case route::scripting:
      return plan_script(spec, args, out);
    case route::databases:
      return plan_databases(spec, args, out);
    case route::keyspace:
      return plan_keyspace(spec, out);
    case route::refused:
      if (passing_ && passes(spec, args)) return forward(0, out);
      return refuse_unsupported(spec, out,
                                "has no meaning behind dualbusd: send it to the bus it is meant for");
  }
}

void router::plan_keys(const command_spec& spec, resp::arguments args, plan& out) {
  // Redis refuses the request without keys: any bus may say so.
  if (!find_keys(spec, args, out.keys) || out.keys.empty()) return forward(table_.rules().default_bus, out);
  const bus_index bus = table_.bus_of_key(args[out.keys[0]]);
  for (const std::uint32_t position : out.keys) {
    if (table_.bus_of_key(args[position]) != bus) return refuse_crossing(spec, out);
  }
  forward(bus, out);
}

void router::plan_sort(const command_spec& spec, resp::arguments args, plan& out) {
  plan_keys(spec, args, out);
  if (single_ || out.what != plan::action::forward) return;
  // An element of the list takes the place of the first '*'; a pattern without one stands for no key (sort.c,
  // lookupKeyByPattern, which looks for it with strchr()).
  find_sort_patterns(args, out.keys);
  for (const std::uint32_t position : out.keys) {
    const std::string_view pattern = base::as_c_string(args[position]);
    const std::size_t star = pattern.find('*');
    if (star == std::string_view::npos) continue;
    if (table_.bus_of_prefix(pattern.substr(0, star)) != out.bus) {
      return refuse(out, "CROSSBUS command '" + upper(spec.name) + "' has keys and the pattern '" +
                             std::string(pattern) +
                             "' on different buses and cannot be split: pin all that it may stand for to "
                             "one bus with routing.keys");
    }
  }
}

void router::plan_blocking(const command_spec& spec, resp::arguments args, plan& out) {
  // WAIT and WAITAOF are about earlier writes, which may be on any bus.
  if (spec.keys == key_form::range && spec.first_key == 0) {
    out.keys.clear();
    out.what = plan::action::broadcast;
    return;
  }
  plan_keys(spec, args, out);
  if (out.what == plan::action::forward) out.what = plan::action::block;
}

void router::refuse_draining(std::string_view key, bus_index bus, plan& out) const {
  refuse(out, "ERR dualbus: bus '" + table_.bus(bus).name + "' is draining and takes no XADD: pin key '" +
                  std::string(key) + "' to an active bus with routing.keys, or to none");
}

bool router::confirms(const command_spec& spec, resp::arguments args, bus_index bus, bool confirm) const {
  if (spec.route == route::xadd && confirm) return true;
  if (!table_.confirms_all(bus)) return false;
  switch (spec.route) {
    case route::xread:
    case route::blocking:
    case route::publish:
      return false;
    case route::scripting:
      return may_replicate(spec, args);
    default:
      return spec.flags.empty() ? may_replicate(spec, args) : has_flag(spec, 'w');
  }
}

void router::plan_xadd(resp::arguments args, plan& out) {
  out.confirm = false;
  out.xadd = parse_xadd(args);
  if (out.xadd.result != xadd_arguments::verdict::ok) {
    const bus_index pinned = table_.pinned_bus(args[1]);
    // This includes forms that only later versions of Redis know, which might add an entry.
    if (pinned != no_bus && table_.bus(pinned).draining) return refuse_draining(args[1], pinned, out);
    if (out.xadd.result == xadd_arguments::verdict::unsupported && pinned == no_bus && !transparent_) {
      return refuse(out, "ERR dualbus: option '" + upper(args[out.xadd.option]) +
                             "' not supported on logical stream '" + std::string(args[1]) + "'");
    }
    // Redis refuses the request on any bus, in its own words.
    return forward(pinned == no_bus ? table_.rules().default_bus : pinned, out);
  }
  const classification where =
      counting_ ? classifier_.classify(args, out.xadd) : classifier_.explain(args, out.xadd);
  // Types and the default have active buses only, but a rule for keys may name any bus.
  if (table_.bus(where.bus).draining) return refuse_draining(args[1], where.bus, out);
  out.bus = where.bus;
  out.rule = where.rule;
  out.confirm = where.confirm;
  out.what = where.rule == rule::key || transparent_ ? plan::action::forward : plan::action::add;
}

void router::plan_spread(const command_spec& spec, resp::arguments args, plan& out) {
  if (spec.route == route::memory && !base::is_word(args[1], "usage")) {
    const memory_report report = single_ ? memory_report::of_any : find_memory_report(args);
    if (report == memory_report::of_one) {
      return refuse_unsupported(
          spec, out,
          "STATS is about one server: ask each bus directly, or INFO, which has a section about each");
    }
    if (report == memory_report::of_any) return forward(table_.rules().default_bus, out);
    out.keys.clear();
    out.what = plan::action::spread;
    return;
  }
  // DELEX with a condition is about a string, which is on one bus.
  if (spec.route == route::remove && spec.last_key == 1 && args.size() > 2) {
    return forward(table_.bus_of_key(args[1]), out);
  }
  const bool odd_pairs = spec.route == route::mset && args.size() % 2 == 0;  // Redis refuses it
  if (!find_keys(spec, args, out.keys) || out.keys.empty() || single_ || odd_pairs) {
    return forward(table_.rules().default_bus, out);
  }
  // MGET and MSET never touch streams, so their keys have one bus each; keys of the other commands may
  // have parts on every bus unless they are pinned.
  const bool one_bus_keys = spec.route == route::mget || spec.route == route::mset;
  const bus_index bus = table_.bus_of_key(args[out.keys[0]]);
  bool together = true;
  for (const std::uint32_t position : out.keys) {
    const bus_index pinned = table_.pinned_bus(args[position]);
    together &= pinned == no_bus ? one_bus_keys && table_.rules().default_key_bus == bus : pinned == bus;
  }
  if (together) return forward(bus, out);
  out.what = plan::action::spread;
}

void router::plan_stream(const command_spec& spec, resp::arguments args, plan& out) {
  if (!find_keys(spec, args, out.keys) || out.keys.empty()) {
    forward(table_.rules().default_bus, out);
    // Redis is expected to find fault with it; should the request wait nevertheless, it must not hold up
    // others.
    if (spec.route == route::xread && has_block_option(args)) out.what = plan::action::block;
    return;
  }
  std::size_t whole = 0;
  for (const std::uint32_t position : out.keys) whole += is_whole(args[position]) ? 1 : 0;
  if (whole == out.keys.size()) {
    plan_keys(spec, args, out);
    if (spec.route != route::xread) return;
    const bool blocks = waiting_ == waiting_reads::block;
    if (out.what == plan::action::forward) {
      if (has_block_option(args)) out.what = blocks ? plan::action::block : plan::action::park;
    } else if (!blocks) {
      out.what = plan::action::spread;  // each of XREAD's keys is a read of its own
    }
    return;
  }
  if (spec.route == route::stream || spec.route == route::xread) {
    out.what = plan::action::spread;
    return;
  }
  if (spec.route == route::whole) {
    if (single_) return forward(0, out);
    // A key with parts on any bus and one on a single bus cannot become each other.
    for (const std::uint32_t position : out.keys) {
      if (table_.pinned_bus(args[position]) != no_bus) return refuse_crossing(spec, out);
    }
    out.what = plan::action::spread;
    return;
  }
  refuse(out, "ERR dualbus: command '" + upper(spec.name) + "' is not supported on logical stream '" +
                  std::string(args[out.keys[0]]) + "': pin the key with routing.keys");
}

void router::plan_databases(const command_spec& spec, resp::arguments args, plan& out) const {
  if (single_) return forward(0, out);
  if (spec.first_key == 0)
    return refuse_unsupported(spec, out, "is about one server: send it to the bus it is meant for");
  const bus_index bus = table_.pinned_bus(args[1]);
  if (bus != no_bus) return forward(bus, out);
  refuse_unsupported(spec, out, "needs a key that is pinned to one bus: pin it with routing.keys");
}

void router::plan_keyspace(const command_spec& spec, plan& out) const {
  const bool flushes = has_flag(spec, 'w');
  if (flushes && table_.rules().flush == flush_permission::refused) {
    return refuse_unsupported(
        spec, out,
        "would remove the keys of every bus: send it to the bus it is meant for, or permit "
        "it with flush: allowed");
  }
  out.keys.clear();
  if (single_) return forward(0, out);
  out.what = plan::action::spread;
}

// A command that takes the server from the daemon, or makes its connection another client's, is never passed
// on.
bool router::passes(const command_spec& spec, resp::arguments args) const {
  const fact facts = facts_of(spec, args);
  if (!has_fact(facts, fact::passed_on)) return false;
  return !has_fact(facts, fact::sets_parameters) || !locks_out(args);
}

void router::plan_script(const command_spec& spec, resp::arguments args, plan& out) {
  if (spec.keys == key_form::numkeys2) {
    // A script without keys runs on the bus of keys that no rule matches.
    if (find_keys(spec, args, out.keys) && !out.keys.empty()) return plan_keys(spec, args, out);
    return forward(table_.rules().default_key_bus, out);
  }
  const auto is = [&](std::string_view word) { return base::is_word(args[1], word); };
  // The bus on which the script runs that is to be ended is not known.
  if (is("kill")) {
    out.keys.clear();
    out.what = plan::action::broadcast;
    return;
  }
  // A debugging client needs a connection of its own.
  if (is("debug") && args.size() == 3) {
    return refuse(
        out, "NOTSUPPORTED command '" + upper(spec.name) + " " + upper(args[1]) +
                 "' has no meaning behind dualbusd, where clients share connections: ask the bus directly");
  }
  const bool everywhere = is("load") || is("exists") || is("flush") || is("delete") || is("restore");
  if (single_ || !everywhere) return forward(table_.rules().default_key_bus, out);
  out.keys.clear();
  out.what = plan::action::spread;
}

}  // namespace dualbus::command
