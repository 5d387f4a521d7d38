#include "../bench/fleet_messages.hpp"
#include "targets.hpp"

#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/resp/request_parser.hpp>

namespace dualbus::fuzz {
namespace {

struct fixture {
  fixture() : table(rules()), counters(table.bus_count(), 20), router(table, counters) {}
  static command::routing_rules rules() {
    command::routing_rules r = test::fleet_rules();
    r.keys.push_back({"el:*:[0-9]", 1});
    return r;
  }
  command::routing_table table;
  command::message_counters counters;
  command::router router;
  command::plan plan;
};

void check_plan(const command::command_spec& spec, const command::plan& plan, resp::arguments args,
                const command::routing_table& table) {
  using action = command::plan::action;
  switch (plan.what) {
    case action::forward:
    case action::block:
    case action::park:
      check(plan.bus < table.bus_count(), "forwarding names a bus");
      break;
    case action::add:
      check(plan.bus < table.bus_count(), "adding names a bus");
      check(plan.xadd.id >= 2 && plan.xadd.fields == plan.xadd.id + 1, "the fields stand behind the ID");
      check(args.size() - plan.xadd.fields >= 2 && (args.size() - plan.xadd.fields) % 2 == 0,
            "fields have values");
      check(plan.xadd.min_id < plan.xadd.id, "a threshold stands before the ID");
      break;
    case action::spread:
      // These are about every bus, whatever the keys.
      if (spec.route == command::route::keyspace || spec.route == command::route::scripting) break;
      check(!plan.keys.empty(), "what is spread has keys");
      for (const std::uint32_t position : plan.keys)
        check(position > 0 && position < args.size(), "keys are arguments");
      break;
    case action::refuse:
      check(!plan.error.empty(), "a refusal says why");
      break;
    case action::local:
    case action::broadcast:
      break;
  }
}

}  // namespace

void routes(std::string_view bytes) {
  static fixture f;
  base::read_buffer buffer;  // for the readable bytes behind it
  buffer.append(bytes);
  resp::request_parser parser;
  while (!buffer.empty() && parser.parse(buffer.data()) == resp::parse_status::complete) {
    const resp::arguments args = parser.args();
    const int found = args.empty() ? -1 : command::find_command(args[0]);
    if (found >= 0) {
      const command::command_spec& spec = command::command_table()[static_cast<std::size_t>(found)];
      if (command::arity_matches(spec, args.size())) {
        f.router.make_plan(spec, args, f.plan);
        check_plan(spec, f.plan, args, f.table);
      }
    }
    buffer.consume(parser.consumed());
    parser.reset();
  }
}

}  // namespace dualbus::fuzz
