#include "quoted.hpp"
#include "type_rules.hpp"

#include <dualbus/base/printable.hpp>
#include <dualbus/command/command_reference.hpp>
#include <dualbus/command/key_positions.hpp>
#include <dualbus/command/request_facts.hpp>
#include <dualbus/console/explanation.hpp>

#include <algorithm>

namespace dualbus::console {
namespace {

using command::bus_index;
using command::match_rule;
using command::plan;
using command::route;

// A request may name thousands of keys; nobody reads so many.
constexpr std::size_t most_keys = 20;

class explainer {
 public:
  explicit explainer(const imagined_request& request)
      : request_(request), table_(request.router.table()), rules_(table_.rules()) {}

  record run() {
    add("command", command::name_in_texts(request_.spec, request_.args) + ": " +
                       std::string(command::what_becomes_of(request_.spec)));
    if (!command::arity_matches(request_.spec, request_.args.size())) {
      add("sent",
          "nowhere: ERR wrong number of arguments for '" + std::string(request_.spec.name) + "' command");
      return std::move(out_);
    }
    if (request_.denial)
      add("permission", request_.denial->empty() ? "your user may run it" : std::string(*request_.denial));
    plan p;
    request_.router.foresee(request_.spec, request_.args, p);
    tell_keys();
    if (request_.spec.route == route::xadd) tell_type(p);
    if (request_.spec.route == route::publish) tell_channel(p);
    tell_way(p);
    return std::move(out_);
  }

 private:
  // Errors repeat the words of the request.
  void add(std::string_view name, std::string_view value) {
    std::string text;
    base::append_printable(text, value, "");
    out_.emplace_back(name, std::move(text));
  }
  std::string bus(bus_index index) const { return "bus '" + rules_.buses[index].name + "'"; }

  // Whether entries of a key that no rule pins lie on every bus.
  bool of_streams() const { return request_.spec.group == command::group::stream; }

  void tell_keys() {
    std::vector<std::uint32_t> positions;
    if (!command::find_keys(request_.spec, request_.args, positions)) return;
    for (std::size_t i = 0; i < std::min(positions.size(), most_keys); ++i) {
      const std::string_view key = request_.args[positions[i]];
      std::string text = quoted(key);
      if (const match_rule* const rule = first_match(rules_.keys, key)) {
        text += ": routing.keys has " + quoted(rule->match) + " for " + bus(rule->bus);
      } else if (of_streams()) {
        text += ": no rule of routing.keys matches, so its entries may lie on every bus";
      } else {
        text +=
            ": no rule of routing.keys matches; routing.default_key_bus is " + bus(rules_.default_key_bus);
      }
      add("key", text);
    }
    if (positions.size() > most_keys)
      add("key", "and " + std::to_string(positions.size() - most_keys) + " more");
  }

  void tell_type(const plan& p) {
    if (p.xadd.result != command::xadd_arguments::verdict::ok) return;
    const std::string_view named = command::find_field(request_.args, p.xadd, rules_.field);
    const std::string_view type = request_.router.types().type_of(request_.args, p.xadd);
    if (named.data() != nullptr) {
      add("type", quoted(type) + ", in the field " + quoted(rules_.field));
    } else if (type.data() != nullptr) {
      add("type", quoted(type) + ", in the JSON of a field of routing.json_fields");
    } else {
      add("type", "none: there is no field " + quoted(rules_.field) +
                      (rules_.json_fields.empty() ? "" : ", and no field of routing.json_fields names one"));
    }
    if (p.rule == command::rule::key) {
      add("rule", "the key's, whatever the type is");
    } else {
      tell_rule_of(type);
    }
  }

  void tell_rule_of(std::string_view type) {
    if (const match_rule* const rule = type.data() == nullptr ? nullptr : deciding_rule(rules_.types, type)) {
      add("rule", "routing.types has " + quoted(rule->match) + " for " + bus(rule->bus));
    } else {
      add("rule", "none of routing.types matches; routing.default_bus is " + bus(rules_.default_bus));
    }
  }

  void tell_channel(const plan& p) {
    const std::string_view type = request_.router.types().type_of_json(request_.args[2]);
    if (p.rule == command::rule::json) {
      add("type", quoted(type) + ", in the message's JSON");
      return tell_rule_of(type);
    }
    if (const match_rule* const rule = first_match(rules_.channels, request_.args[1])) {
      add("rule", "routing.channels has " + quoted(rule->match) + " for " + bus(rule->bus));
    } else {
      add("rule", "none of routing.channels matches; routing.default_bus is " + bus(rules_.default_bus));
    }
  }

  void tell_way(const plan& p) {
    using action = plan::action;
    switch (p.what) {
      case action::local:
        return add("sent", "nowhere: the daemon answers");
      case action::refuse:
        return add("sent", "nowhere: " + p.error);
      case action::spread:
        add("sent", "to several buses, and the answers become one");
        return tell_absorption();
      case action::broadcast:
        return add("sent", "to every bus, on connections of its own");
      case action::add:
        add("sent", "to " + bus(p.bus) + "; the entry's ID bears its id_slot, " +
                        std::to_string(rules_.buses[p.bus].id_slot));
        break;
      case action::block:
        add("sent", "to " + bus(p.bus) + ", on a connection of its own while it waits");
        break;
      case action::park:
        add("sent",
            "to " + bus(p.bus) + "; if there is nothing it waits in the daemon, without a connection");
        break;
      case action::forward:
        add("sent", "to " + bus(p.bus) + " as it is");
        break;
    }
    add("bus", "'" + rules_.buses[p.bus].name + "' " + request_.buses[p.bus]);
    if (request_.router.confirms(request_.spec, request_.args, p.bus, p.confirm))
      add("answered", "when the bus's replicas or its AOF have it (buses.*.acknowledge)");
    tell_absorption();
  }

  void tell_absorption() {
    if (!request_.spec.has(command::fact::reads_group)) return;
    using mode = config::absorb_mode;
    if (request_.configuration.absorb.mode == mode::off) {
      add("absorbed", "never: absorb.mode is off");
    } else {
      add("absorbed",
          "if it asks for new entries ('>') and it is known that there are none: then no bus is asked");
    }
  }

  const imagined_request& request_;
  const command::routing_table& table_;
  const command::routing_rules& rules_;
  record out_;
};

}  // namespace

record explain(const imagined_request& request) {
  return explainer(request).run();
}

}  // namespace dualbus::console
