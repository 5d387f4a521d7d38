#include "bindings.hpp"
#include "key_rows.hpp"

#include <string>
#include <utility>

namespace dualbus::config {
namespace {

using enum value_type;

missing_group_settings::rule& group_rule(draft& d, place at) {
  auto& rules = d.config.missing_group.rules;
  if (rules.size() <= at.index) rules.resize(at.index + 1);
  return rules[at.index];
}

constexpr key_row rows[] = {
    {.path = "routing.field",
     .reload = true,
     .range = {1, max_name},
     .fallback = "message_type",
     .meaning =
         "The field of an `XADD` that names the type of the message. If it occurs twice, the first one "
         "counts.",
     .bind = in<&configuration::routing, &routing_rules::field>()},
    {.path = "routing.json_fields",
     .type = text_list,
     .reload = true,
     .range = {1, max_name},
     .fallback_note = "`[]`",
     .meaning =
         "Fields that may hold JSON with the type inside; they are looked into, in this order, only when "
         "`routing.field` is absent. In what is not valid JSON, such as Python's NaN, the type is searched "
         "for, and "
         "`dualbus_json_refused_total` counts it.",
     .bind = in<&configuration::routing, &routing_rules::json_fields>()},
    {.path = "routing.json_pointer",
     .type = pointer,
     .reload = true,
     .range = {0, 1024},
     .fallback_note = "the member called like `routing.field`",
     .meaning = "The place of the type in that JSON, as a JSON pointer (RFC 6901): `/meta/type`.",
     .bind = in<&configuration::routing, &routing_rules::json_pointer>()},
    {.path = "routing.default_bus",
     .type = bus,
     .reload = true,
     .fallback_note = "the only active bus; required if there are several",
     .meaning =
         "The bus for messages whose type no rule knows and for messages without a type. It must be active.",
     .bind = {[](draft& d, place, value&& v) { d.default_bus = std::move(v.text); }, nullptr}},
    {.path = "routing.default_key_bus",
     .type = bus,
     .reload = true,
     .fallback_note = "the value of `routing.default_bus`",
     .meaning = "The bus for keys that are not streams and that no rule in `routing.keys` matches. It may be "
                "draining, for keys that have not been moved yet; the daemon moves nothing when it changes.",
     .bind = {[](draft& d, place, value&& v) { d.default_key_bus = std::move(v.text); }, nullptr}},
    {.path = "routing.types.*",
     .type = text_list,
     .reload = true,
     .range = {1, max_name},
     .fallback_note = "`[]`",
     .meaning =
         "For the bus of that name, the message types that go there: exact names, or patterns as in "
         "Redis's `KEYS` (`*`, `?`, `[abc]`, `\\`). An exact name wins over any pattern, and among patterns "
         "the one that stands first in the file. No name stands twice.",
     .bind = {[](draft& d, place at, value&& v) {
                d.types.push_back({std::string(at.name), std::move(v.list)});
              },
              nullptr}},
    {.path = "routing.keys[].match",
     .required = true,
     .reload = true,
     .range = {1, 1024},
     .meaning =
         "A key, or a pattern as in `KEYS`. The first rule that matches a key pins it to one bus, whatever "
         "the type of a message.",
     .bind = {[](draft& d, place at, value&& v) { d.keys[at.index].match = std::move(v.text); }, nullptr}},
    {.path = "routing.keys[].bus",
     .type = bus,
     .required = true,
     .reload = true,
     .meaning =
         "The bus of the keys that match. It may be draining, for keys that have not been moved yet: all "
         "commands but `XADD`, which is refused, reach them there.",
     .bind = {[](draft& d, place at, value&& v) { d.keys[at.index].bus = std::move(v.text); }, nullptr}},
    {.path = "routing.channels[].match",
     .required = true,
     .reload = true,
     .range = {1, 1024},
     .meaning =
         "A Pub/Sub channel, or a pattern as in `KEYS`. A `PUBLISH` or `SPUBLISH` whose payload is no JSON "
         "with "
         "a type that a rule knows goes to the bus of the first rule that matches its channel, else to "
         "`routing.default_bus`. Subscribers get the messages of all buses.",
     .bind = {[](draft& d, place at, value&& v) { d.channels[at.index].match = std::move(v.text); },
              nullptr}},
    {.path = "routing.channels[].bus",
     .type = bus,
     .required = true,
     .reload = true,
     .meaning = "The bus of the channels that match.",
     .bind = {[](draft& d, place at, value&& v) { d.channels[at.index].bus = std::move(v.text); }, nullptr}},
    {.path = "routing.max_type_names",
     .type = integer,
     .reload = true,
     .range = {0, 10000},
     .fallback = "200",
     .meaning = "How many distinct message types are counted by name in the metrics; further ones count as "
                "`other`.",
     .bind = in<&configuration::routing, &routing_rules::max_type_names>()},
    {.path = "routing.explicit_ids",
     .type = choice,
     .reload = true,
     .choices = "match|remap",
     .fallback = "match",
     .meaning =
         "Which IDs an `XADD` to a stream that is not pinned may give: `match`, only those with the slot of "
         "the message's bus; `remap`, also those of slot 0, which are stored as they are and shown with the "
         "slot of the bus.",
     .bind = in<&configuration::routing, &routing_rules::ids>()},
    {.path = "routing.moved_streams",
     .type = choice,
     .reload = true,
     .choices = "refused|allowed",
     .fallback = "refused",
     .meaning =
         "How to treat a reload whose `routing.keys` pin a stream, or no longer do, or pin it to another "
         "bus. `refused` looks on every bus first, and changes nothing if entries would get out of sight, if "
         "some are pending whose IDs would not be known any more, or if a bus does not answer; the log names "
         "stream, bus and counts. `allowed` logs the same as warnings and goes on. Keys of other types that "
         "get out of reach are a warning. A restart does not look.",
     .bind = top<&configuration::moves>()},
    {.path = "missing_group.action",
     .type = choice,
     .reload = true,
     .choices = "error|create",
     .fallback = "error",
     .meaning =
         "The effect of a group read on a stream without that group: `error` answers `NOGROUP`, as Redis "
         "does; `create` makes the group on every bus of the stream and runs the read, if the client's user "
         "may run `XGROUP CREATE`.",
     .bind = {[](draft& d, place, value&& v) {
                assign(d.config.missing_group.otherwise.action, std::move(v));
              },
              nullptr}},
    {.path = "missing_group.start",
     .type = choice,
     .reload = true,
     .choices = "0|$",
     .fallback = "0",
     .meaning =
         "The start of a group made so: `0` delivers everything that is in the stream, `$` only what comes "
         "later.",
     .bind = {[](draft& d, place, value&& v) { d.config.missing_group.otherwise.start = std::move(v.text); },
              nullptr}},
    {.path = "missing_group.rules[].key",
     .reload = true,
     .range = {1, 1024},
     .fallback = "*",
     .meaning = "The streams that the rule is for: a key, or a pattern as in `KEYS`.",
     .bind = {[](draft& d, place at, value&& v) { group_rule(d, at).key = std::move(v.text); }, nullptr}},
    {.path = "missing_group.rules[].group",
     .reload = true,
     .range = {1, 1024},
     .fallback = "*",
     .meaning = "The groups that the rule is for: a name, or a pattern as in `KEYS`.",
     .bind = {[](draft& d, place at, value&& v) { group_rule(d, at).group = std::move(v.text); }, nullptr}},
    {.path = "missing_group.rules[].action",
     .type = choice,
     .required = true,
     .reload = true,
     .choices = "error|create",
     .meaning = "As `missing_group.action`, for what the rule matches.",
     .bind = {[](draft& d, place at, value&& v) { assign(group_rule(d, at).action, std::move(v)); },
              nullptr}},
    {.path = "missing_group.rules[].start",
     .type = choice,
     .reload = true,
     .choices = "0|$",
     .fallback = "0",
     .meaning = "As `missing_group.start`, for what the rule matches.",
     .bind = {[](draft& d, place at, value&& v) { group_rule(d, at).start = std::move(v.text); }, nullptr}},
    {.path = "flush",
     .type = choice,
     .reload = true,
     .choices = "refused|allowed",
     .fallback = "refused",
     .meaning =
         "The effect of `FLUSHDB` and `FLUSHALL`: `refused` answers with an error; `allowed` sends them to "
         "every bus, where they remove all keys, `FLUSHALL` in all databases.",
     .bind = in<&configuration::routing, &routing_rules::flush>()},
    {.path = "server_commands",
     .type = choice,
     .reload = true,
     .choices = "refused|passed",
     .fallback = "refused",
     .meaning =
         "How to treat commands about one server, such as `SAVE`, `DEBUG`, `MIGRATE` and `CONFIG SET`. "
         "`passed` sends them to the bus, as they are, and lets XREAD and XREADGROUP with BLOCK wait there, "
         "on "
         "`backend.dedicated_connections`; it needs a bus that is the only one. For programs and test suites "
         "that "
         "expect a plain Redis: see [differences.md](differences.md#server-commands).",
     .bind = in<&configuration::routing, &routing_rules::server_commands>()},
    {.path = "absorb",
     .type = choice,
     .reload = true,
     .choices = "relaxed|strict|off",
     .fallback = "relaxed",
     .meaning = "Whether group reads that can only come back empty, or with `NOGROUP`, are answered by the "
                "daemon instead of a bus. `relaxed` answers at once from what it knows, `strict` only after "
                "the bus has confirmed that nothing changed, `off` never. See [streams.md](streams.md).",
     .bind = in<&configuration::absorb, &absorb_settings::mode>()},
    {.path = "absorb_ttl",
     .type = duration,
     .reload = true,
     .range = {ms, minute, ms},
     .fallback = "1s",
     .meaning =
         "How long an empty read counts, for the group and for the consumer: so often at least a consumer "
         "that polls is seen by the bus, and so late at most are changes noticed that others make to groups.",
     .bind = in<&configuration::absorb, &absorb_settings::nil_ttl>()},
    {.path = "nogroup_ttl",
     .type = duration,
     .reload = true,
     .range = {ms, minute, ms},
     .fallback = "200ms",
     .meaning = "How long an answer `NOGROUP` counts: so late at most is a group noticed that others create.",
     .bind = in<&configuration::absorb, &absorb_settings::no_group_ttl>()},
    {.path = "absorb_delay",
     .type = duration,
     .reload = true,
     .range = {0, 100 * ms},
     .fallback = "1ms",
     .meaning =
         "How long the daemon keeps a client waiting that polls again and again without a pause, when the "
         "answer is one of its own. New entries end the delay. `0` answers at once.",
     .bind = in<&configuration::absorb, &absorb_settings::delay>()},
};

}  // namespace

std::span<const key_row> routing_rows() {
  return rows;
}

}  // namespace dualbus::config
