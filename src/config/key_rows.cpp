#include "bindings.hpp"
#include "key_table.hpp"

#include <string>
#include <utility>

namespace dualbus::config {
namespace {

using enum value_type;

constexpr key_row rows[] = {
    {.path = "listen.address",
     .type = address,
     .fallback = "127.0.0.1",
     .meaning =
         "The numeric IPv4 or IPv6 address on which clients are accepted; `0.0.0.0` and `::` mean every "
         "one of the machine. The daemon asks clients for no password, so an address beyond loopback is "
         "for networks in which everybody may use every bus; it is accepted with a warning.",
     .bind = in<&configuration::listen, &listen_settings::address>()},
    {.path = "listen.port",
     .type = integer,
     .range = {0, 65535},
     .fallback = "6379",
     .meaning = "The TCP port for clients. `0` opens none, and then `listen.unix_socket` must be set.",
     .bind = in<&configuration::listen, &listen_settings::port>()},
    {.path = "listen.unix_socket",
     .type = socket_path,
     .range = {0, max_unix_path},
     .fallback_note = "none",
     .meaning = "The absolute path of a Unix socket for clients, in addition to the TCP port.",
     .bind = in<&configuration::listen, &listen_settings::unix_socket>()},
    {.path = "listen.unix_socket_mode",
     .type = mode,
     .fallback = "0700",
     .meaning = "The permissions of that socket, in octal. A client needs the right to write.",
     .bind = in<&configuration::listen, &listen_settings::unix_socket_mode>()},
    {.path = "listen.backlog",
     .type = integer,
     .range = {1, 65535},
     .fallback = "511",
     .meaning = "How many connections the kernel keeps waiting until they are accepted. Linux lowers it to "
                "`net.core.somaxconn`.",
     .bind = in<&configuration::listen, &listen_settings::backlog>()},
    {.path = "admin.address",
     .type = address,
     .fallback = "127.0.0.1",
     .meaning = "The numeric address of the HTTP listener for metrics, health and administration. It has no "
                "authentication either; beyond loopback it is accepted with a warning.",
     .bind = in<&configuration::admin, &admin_settings::address>()},
    {.path = "admin.port",
     .type = integer,
     .range = {0, 65535},
     .fallback = "9121",
     .meaning = "Its TCP port. `0` opens none.",
     .bind = in<&configuration::admin, &admin_settings::port>()},
    {.path = "workers",
     .type = integer,
     .range = {1, 128},
     .fallback = "1",
     .meaning =
         "Threads that serve clients. Each has connections of its own to every bus, so every worker adds "
         "to the connections that the buses see. One is enough until it is busy all the time.",
     .bind = top<&configuration::workers>()},
    {.path = "buses.*.id_slot",
     .type = integer,
     .required = true,
     .range = {0, 127},
     .meaning =
         "The number that marks this bus in the stream entry IDs that clients see: slot × 10^12 is added "
         "to the part behind the dash. No two buses share one. Never change it while entries of the bus "
         "are in use: the IDs that clients remember would point to another bus. Entries of slot 0 keep "
         "the IDs they have in Redis, which is what a Redis that is being left behind needs.",
     .bind = of_bus_rules<&bus_rules::id_slot>()},
    {.path = "buses.*.endpoint",
     .type = endpoint,
     .required = true,
     .meaning =
         "Where its Redis listens: `host:port`, `[v6]:port`, or the absolute path of a Unix socket, with "
         "or without `unix:` before it. Quote an address in brackets. No two buses share an endpoint and "
         "database.",
     .bind = {store_endpoint, of_bus<&bus_settings::endpoint>().fetch}},
    {.path = "buses.*.state",
     .type = choice,
     .choices = "active|draining",
     .fallback = "active",
     .meaning =
         "`draining` marks a Redis that is being left behind: reads still include it, new messages never "
         "go there. It can be neither `routing.default_bus` nor `anchor`, and has no message types.",
     .bind = of_bus_rules<&bus_rules::draining>()},
    {.path = "buses.*.username",
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning = "The user for `AUTH`, together with a password. Without it, `AUTH` names the password alone.",
     .bind = of_bus<&bus_settings::username>()},
    {.path = "buses.*.password_file",
     .range = {0, 4095},
     .fallback_note = "none",
     .meaning =
         "A file that holds the password and nothing else; line ends behind it do not count. A relative "
         "path starts from the directory of the configuration file. It is read whenever the "
         "configuration is. A file that everybody may read is accepted with a warning. A `password` in "
         "the configuration file itself is refused.",
     .bind = of_password<&bus_settings::password_file>()},
    {.path = "buses.*.password_env",
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning = "Instead of a file, the name of an environment variable that holds the password.",
     .bind = of_password<&bus_settings::password_env>()},
    {.path = "buses.*.database",
     .type = integer,
     .range = {0, 65535},
     .fallback = "0",
     .meaning = "The database chosen with `SELECT` on every connection to this bus.",
     .bind = of_bus<&bus_settings::database>()},
    {.path = "buses.*.latency_target",
     .type = duration,
     .reload = true,
     .range = {0, minute},
     .fallback = "0",
     .meaning =
         "How fast this bus should answer, from writing a request to it until its reply is there. The "
         "target is exported with the number of requests that missed it; nothing else depends on it. `0` "
         "means none.",
     .bind = of_bus<&bus_settings::latency_target>()},
    {.path = "anchor",
     .type = bus,
     .fallback_note = "the value of `routing.default_bus`",
     .meaning =
         "The bus on which the existence of a consumer group is decided when a stream lies on several "
         "buses. It must be active. Set it whenever the default bus may change at run time: the anchor "
         "cannot.",
     .bind = {[](draft& d, place, value&& v) { d.anchor = std::move(v.text); }, fetch_anchor}},
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
    {.path = "backend.connect_timeout",
     .type = duration,
     .reload = true,
     .range = {ms, 5 * minute, ms},
     .fallback = "1s",
     .meaning = "How long connecting to a bus may take, `AUTH` and `SELECT` included.",
     .bind = in<&configuration::backend, &backend_settings::connect_timeout>()},
    {.path = "backend.reconnect_wait",
     .type = duration,
     .reload = true,
     .range = {0, 5 * minute, ms},
     .fallback = "1s",
     .meaning =
         "How long requests wait for a bus that is not connected before they are answered `BUSDOWN`. Only "
         "requests of which no byte was sent wait. `0` answers at once.",
     .bind = in<&configuration::backend, &backend_settings::reconnect_wait>()},
    {.path = "backend.reconnect_wait_bytes",
     .type = bytes,
     .reload = true,
     .range = {64 * kb, 16 * gb},
     .fallback = "64mb",
     .meaning =
         "How many bytes of requests may wait so, per bus and worker; those beyond are answered `BUSDOWN` "
         "at once.",
     .bind = in<&configuration::backend, &backend_settings::reconnect_wait_bytes>()},
    {.path = "backend.backoff_min",
     .type = duration,
     .reload = true,
     .range = {ms, minute, ms},
     .fallback = "50ms",
     .meaning =
         "The delay before the second attempt to connect. Every further delay is twice the one before, "
         "with jitter.",
     .bind = in<&configuration::backend, &backend_settings::backoff_min>()},
    {.path = "backend.backoff_max",
     .type = duration,
     .reload = true,
     .range = {ms, hour, ms},
     .fallback = "2s",
     .meaning = "The longest of these delays; not below `backend.backoff_min`.",
     .bind = in<&configuration::backend, &backend_settings::backoff_max>()},
    {.path = "backend.request_timeout",
     .type = duration,
     .reload = true,
     .range = {0, hour, ms},
     .fallback = "5s",
     .meaning = "How long a request that was sent may stay without an answer before its client is told "
                "`BUSTIMEOUT`. `0` waits as long as the connection lasts.",
     .bind = in<&configuration::backend, &backend_settings::request_timeout>()},
    {.path = "backend.health_interval",
     .type = duration,
     .reload = true,
     .range = {10 * ms, hour, ms},
     .fallback = "1s",
     .meaning = "How often a connection that has nothing to answer is tested with `PING`.",
     .bind = in<&configuration::backend, &backend_settings::health_interval>()},
    {.path = "backend.health_timeout",
     .type = duration,
     .reload = true,
     .range = {20 * ms, hour, ms},
     .fallback = "10s",
     .meaning =
         "The silence of a bus that owes an answer after which its connection is given up; longer than "
         "`backend.health_interval`.",
     .bind = in<&configuration::backend, &backend_settings::health_timeout>()},
    {.path = "backend.keepalive",
     .type = duration,
     .reload = true,
     .range = {0, max_keepalive, s},
     .fallback = "1m",
     .meaning = "Idle time after which TCP tests a connection to a bus; `0` turns that off. It applies to "
                "connections made from then on.",
     .bind = in<&configuration::backend, &backend_settings::keepalive>()},
    {.path = "backend.dedicated_connections",
     .type = integer,
     .reload = true,
     .range = {0, 10'000},
     .fallback = "64",
     .meaning = "How many connections per bus and worker may serve requests that block (`XREAD` and "
                "`XREADGROUP` with `BLOCK` of pinned streams), each for one client at a time.",
     .bind = in<&configuration::backend, &backend_settings::dedicated_connections>()},
    {.path = "limits.max_clients",
     .type = integer,
     .reload = true,
     .range = {1, 1'000'000},
     .fallback = "10000",
     .meaning =
         "Clients at a time, over all workers. One more is answered `ERR max number of clients reached` "
         "and closed. Each needs a file descriptor.",
     .bind = in<&configuration::limits, &limit_settings::max_clients>()},
    {.path = "limits.max_request",
     .type = bytes,
     .reload = true,
     .range = {64 * kb, 512 * mb},
     .fallback = "64mb",
     .meaning =
         "The largest request; a client that announces more gets a protocol error and is closed, as Redis "
         "does.",
     .bind = in<&configuration::limits, &limit_settings::max_request>()},
    {.path = "limits.client_output_buffer",
     .type = bytes,
     .reload = true,
     .range = {64 * kb, 64 * gb},
     .fallback = "256mb",
     .meaning = "Replies that may wait for one client that does not read; beyond that it is cut off.",
     .bind = in<&configuration::limits, &limit_settings::client_output_buffer>()},
    {.path = "limits.client_in_flight",
     .type = integer,
     .reload = true,
     .range = {1, 1'000'000},
     .fallback = "10000",
     .meaning = "Requests of one client that may wait for an answer; while there are more it is not read.",
     .bind = in<&configuration::limits, &limit_settings::client_in_flight>()},
    {.path = "limits.bus_output_buffer",
     .type = bytes,
     .reload = true,
     .range = {64 * kb, 4 * gb},
     .fallback = "16mb",
     .meaning =
         "Bytes that may wait to be written to one bus, per worker; while there are more, the clients that "
         "write to it are not read.",
     .bind = in<&configuration::limits, &limit_settings::bus_output_buffer>()},
    {.path = "limits.idle_timeout",
     .type = duration,
     .reload = true,
     .range = {0, 8760 * hour, s},
     .fallback = "0",
     .meaning = "A client that is silent for so long is closed; `0` means never. Redis calls this `timeout`.",
     .bind = in<&configuration::limits, &limit_settings::idle_timeout>()},
    {.path = "limits.client_keepalive",
     .type = duration,
     .reload = true,
     .range = {0, max_keepalive, s},
     .fallback = "5m",
     .meaning =
         "Idle time after which TCP tests the connection of a client; `0` turns that off. It applies to "
         "clients that connect from then on. Redis calls this `tcp-keepalive`.",
     .bind = in<&configuration::limits, &limit_settings::client_keepalive>()},
    {.path = "limits.max_block",
     .type = duration,
     .reload = true,
     .range = {0, 24 * hour, ms},
     .fallback = "0",
     .meaning =
         "The longest time that XREAD and XREADGROUP wait, whatever BLOCK says; `0` means as long as the "
         "client asks. A little less than the clients' socket timeout keeps them from giving up.",
     .bind = in<&configuration::limits, &limit_settings::max_block>()},
    {.path = "limits.shutdown_timeout",
     .type = duration,
     .reload = true,
     .range = {0, hour, ms},
     .fallback = "10s",
     .meaning =
         "How long the daemon, told to stop, waits for the answers to requests in flight before it closes "
         "the connections that still owe some.",
     .bind = in<&configuration::limits, &limit_settings::shutdown_timeout>()},
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
                "the bus has confirmed that nothing changed, `off` never. Used by `XREADGROUP` on logical "
                "streams, which this version does not serve yet.",
     .bind = top<&configuration::absorb>()},
    {.path = "draining.interval",
     .type = duration,
     .reload = true,
     .range = {100 * ms, hour, ms},
     .fallback = "5s",
     .meaning =
         "How often the streams of a draining bus are checked. A check takes longer than that when there are "
         "many keys: it sends at most 2000 commands per second.",
     .bind = in<&configuration::draining, &draining_settings::interval>()},
    {.path = "draining.quiet",
     .type = duration,
     .reload = true,
     .range = {100 * ms, 24 * hour, ms},
     .fallback = "10s",
     .meaning =
         "How long nobody may have added an entry to a stream before it counts as drained. Writers that "
         "bypass the daemon show by this; choose it longer than their pauses.",
     .bind = in<&configuration::draining, &draining_settings::quiet>()},
    {.path = "draining.ignore_groups",
     .type = text_list,
     .reload = true,
     .range = {1, 1024},
     .fallback_note = "`[]`",
     .meaning =
         "Consumer groups that nobody reads with any more: exact names, or patterns as in `KEYS`. What "
         "they have not read or acknowledged holds no bus back, and they are not made on other buses.",
     .bind = in<&configuration::draining, &draining_settings::ignore_groups>()},
    {.path = "log.level",
     .type = choice,
     .reload = true,
     .choices = "trace|debug|info|warning|error|off",
     .fallback = "info",
     .meaning = "The least important messages that are written to standard error.",
     .bind = top<&configuration::log_level>()},
};

}  // namespace

std::span<const key_row> key_rows() {
  return rows;
}

}  // namespace dualbus::config
