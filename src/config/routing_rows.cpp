#include "bindings.hpp"
#include "key_rows.hpp"

#include <string>
#include <utility>

namespace dualbus::config {
namespace {

using enum value_type;

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
         "`routing.field` is absent. What is not valid JSON is passed over.",
     .bind = in<&configuration::routing, &routing_rules::json_fields>()},
    {.path = "routing.json_pointer",
     .type = pointer,
     .reload = true,
     .range = {0, 1024},
     .fallback_note = "the member called like `routing.field`",
     .meaning = "Where in that JSON the type stands, as a JSON pointer (RFC 6901): `/meta/type`.",
     .bind = in<&configuration::routing, &routing_rules::json_pointer>()},
    {.path = "routing.default_bus",
     .type = bus,
     .reload = true,
     .fallback_note = "the only active bus; required if there are several",
     .meaning =
         "The bus for messages whose type no rule knows, for messages without a type, and for keys that "
         "are not streams and that no rule in `routing.keys` matches. It must be active.",
     .bind = {[](draft& d, place, value&& v) { d.default_bus = std::move(v.text); }, nullptr}},
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
    {.path = "missing_group.action",
     .type = choice,
     .reload = true,
     .choices = "error|create",
     .fallback = "error",
     .meaning = "What a group read on a stream without that group does: `error` answers `NOGROUP`, as Redis "
                "does; `create` makes the group on every bus of the stream and runs the read.",
     .bind = top<&configuration::missing_group>()},
    {.path = "missing_group.start",
     .type = choice,
     .reload = true,
     .choices = "0|$",
     .fallback = "0",
     .meaning =
         "Where a group made so starts: `0` delivers everything that is in the stream, `$` only what comes "
         "later.",
     .bind = top<&configuration::missing_group_start>()},
    {.path = "absorb",
     .type = choice,
     .reload = true,
     .choices = "relaxed|strict|off",
     .fallback = "relaxed",
     .meaning = "Whether group reads that can only come back empty, or with `NOGROUP`, are answered by the "
                "daemon instead of a bus. `relaxed` answers at once from what it knows, `strict` only after "
                "the bus has confirmed that nothing changed, `off` never.",
     .bind = top<&configuration::absorb>()},
};

}  // namespace

std::span<const key_row> routing_rows() {
  return rows;
}

}  // namespace dualbus::config
