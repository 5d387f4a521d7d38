#include "bindings.hpp"
#include "key_rows.hpp"

#include <string>
#include <utility>

namespace dualbus::config {
namespace {

using enum value_type;

draining_settings::ignored_group& ignored(draft& d, place at) {
  auto& rules = d.config.draining.ignore_groups;
  if (rules.size() <= at.index) rules.resize(at.index + 1);
  return rules[at.index];
}

constexpr key_row rows[] = {
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
         "The address of its Redis: `host:port`, `[v6]:port`, or the absolute path of a Unix socket, with "
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
     .reload = true,
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning = "The user for `AUTH`, together with a password. Without it, `AUTH` names the password alone.",
     .bind = of_bus<&bus_settings::username>()},
    {.path = "buses.*.password_file",
     .reload = true,
     .range = {0, 4095},
     .fallback_note = "none",
     .meaning =
         "A file that holds the password and nothing else; line ends behind it do not count. A relative "
         "path starts from the directory of the configuration file. To rotate the password, write the new "
         "one "
         "into the file and send `SIGHUP`, before or after the Redis is told of it: connections are "
         "exchanged "
         "for new ones as soon as the Redis accepts it, and no request fails. One that carries subscriptions "
         "stays until it ends, because a new one would miss messages. A file that everybody may read is "
         "accepted with a warning. A `password` in the configuration file itself is refused.",
     .bind = of_bus<&bus_settings::password_file>()},
    {.path = "buses.*.password_env",
     .reload = true,
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning = "Instead of a file, the name of an environment variable that holds the password.",
     .bind = of_bus<&bus_settings::password_env>()},
    {.path = "buses.*.database",
     .type = integer,
     .range = {0, 65535},
     .fallback = "0",
     .meaning = "The database of this bus that clients see as 0; see `databases`.",
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
    {.path = "slot_marks",
     .type = choice,
     .choices = "none|function",
     .fallback = "none",
     .meaning =
         "Whether each bus bears its `id_slot`, so that the daemon notices when two have been exchanged: IDs "
         "that consumers hold would then acknowledge entries of the wrong bus, without an error. `function` "
         "makes a library of functions on each bus, `dualbus_db0_slot1`, which Redis keeps with the data and "
         "which is no key, and the daemon does not start if a bus bears another slot. A bus that does not "
         "answer then, or refuses, is a warning in the log. With an admin listener it is looked at again "
         "when it comes, as is a Redis that takes another one's place: `/readyz` and the log say if the slot "
         "is wrong. The daemon's user on the buses needs `+function|list` and `+function|load`. The daemon's "
         "`FUNCTION LIST` leaves the library out; `FUNCTION FLUSH` removes it until the next look, `FUNCTION "
         "STATS` counts it, and `FUNCTION DUMP` has it: restored on another bus it is a wrong mark there.",
     .bind = top<&configuration::marks>()},
    {.path = "anchor",
     .type = bus,
     .fallback_note = "the value of `routing.default_bus`",
     .meaning =
         "The bus on which the existence of a consumer group is decided when a stream lies on several "
         "buses. It must be active. Set it whenever the default bus may change at run time: the anchor "
         "cannot.",
     .bind = {[](draft& d, place, value&& v) { d.anchor = std::move(v.text); }, fetch_anchor}},
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
                "`BUSTIMEOUT`; of a request that takes several commands, all of them together. A connection "
                "that takes no more bytes for so long, with requests waiting, is given "
                "up. `0` waits as long as the connection lasts.",
     .bind = in<&configuration::backend, &backend_settings::request_timeout>()},
    {.path = "backend.health_interval",
     .type = duration,
     .reload = true,
     .range = {10 * ms, hour, ms},
     .fallback = "1s",
     .meaning = "How often a connection is tested with `ECHO`, and whether its replies are still those of "
                "the requests: "
                "a bus that leaves a reply out is noticed within this time.",
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
     .meaning = "How many connections per bus and worker may serve commands that block (`BLPOP` and its "
                "kin, `WAIT`), each for one client at a time; as many more `WATCH`, and as many more "
                "transactions over several buses, which wait their turn. Reads of streams need none, except "
                "with `server_commands: passed` and with options that only newer versions of Redis know.",
     .bind = in<&configuration::backend, &backend_settings::dedicated_connections>()},
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
    {.path = "draining.ignore_groups[].key",
     .required = true,
     .reload = true,
     .range = {1, 1024},
     .meaning =
         "The streams of the rule: a key, or a pattern as in `KEYS`. `\"*\"` are all streams, also those "
         "that are read with a group of that name.",
     .bind = {[](draft& d, place at, value&& v) { ignored(d, at).key = std::move(v.text); }, nullptr}},
    {.path = "draining.ignore_groups[].group",
     .required = true,
     .reload = true,
     .range = {1, 1024},
     .meaning = "Consumer groups that nobody reads with any more on these streams: a name, or a pattern. "
                "Entries there "
                "that they have not read or acknowledged hold no bus back and are lost with it, and the "
                "groups are not "
                "made on other buses.",
     .bind = {[](draft& d, place at, value&& v) { ignored(d, at).group = std::move(v.text); }, nullptr}},
};

}  // namespace

std::span<const key_row> bus_rows() {
  return rows;
}

}  // namespace dualbus::config
