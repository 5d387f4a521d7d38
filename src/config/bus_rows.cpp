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

template <auto Member>
constexpr binding of_acknowledge() {
  return {[](draft& d, place at, value&& v) {
            assign(d.config.buses[at.index].acknowledge.*Member, std::move(v));
          },
          [](const configuration& c, std::size_t bus) { return value_of(c.buses[bus].acknowledge.*Member); }};
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
     .reload = true,
     .fallback_note = "none; it or `buses.*.sentinel` is required",
     .meaning =
         "The address of its Redis: `host:port`, `[v6]:port`, or the absolute path of a Unix socket, with "
         "or without `unix:` before it. Quote an address in brackets. No two buses share an endpoint and "
         "database. A reload may name another place: it is refused if no master answers there, and otherwise "
         "requests go there from one moment on. The data is not moved: the new place must have it.",
     .bind = {store_endpoint, fetch_endpoint}},
    {.path = "buses.*.sentinel.master",
     .required = true,
     .range = {1, 256},
     .meaning =
         "Instead of an endpoint: the name under which Sentinels monitor the Redis of this bus. The daemon "
         "asks them for the address of the master, and goes to another one when they have promoted it: see "
         "[availability.md](availability.md#failover-with-sentinel). `buses.*.username` and the password "
         "beside it are those of the Redis servers, the same for master and replicas. No two buses share a "
         "master and database.",
     .bind = of_sentinel<&sentinel_settings::master>()},
    {.path = "buses.*.sentinel.sentinels",
     .type = endpoint_list,
     .required = true,
     .meaning =
         "The addresses of the Sentinels, as for `buses.*.endpoint`; their port is usually 26379. Name them "
         "all: one is enough while it answers, and others that it knows are asked too, but only those "
         "that stand here are known when the daemon starts.",
     .bind = {store_sentinels, fetch_sentinels}},
    {.path = "buses.*.sentinel.username",
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning =
         "The user for the Sentinels' own `AUTH`, together with a password. Those of the Redis servers "
         "are never sent to a Sentinel.",
     .bind = of_sentinel<&sentinel_settings::username>()},
    {.path = "buses.*.sentinel.password_file",
     .range = {0, 4095},
     .fallback_note = "none",
     .meaning =
         "A file that holds the password of the Sentinels, as `buses.*.password_file` does that of the "
         "Redis.",
     .bind = of_sentinel<&sentinel_settings::password_file>()},
    {.path = "buses.*.sentinel.password_env",
     .range = {0, 1024},
     .fallback_note = "none",
     .meaning = "Instead of a file, the name of an environment variable that holds the password of the "
                "Sentinels.",
     .bind = of_sentinel<&sentinel_settings::password_env>()},
    {.path = "buses.*.state",
     .type = choice,
     .reload = true,
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
     .reload = true,
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
    {.path = "buses.*.coalesce",
     .type = duration,
     .reload = true,
     .range = {0, ms},
     .fallback = "0",
     .meaning =
         "How long a connection that clients share waits between two writes to this bus. Requests that come "
         "in between are sent together, which costs its Redis fewer system calls and wake-ups; each may take "
         "so much longer. `docs/performance.md` says what it saves and costs. `0` writes at once.",
     .bind = of_bus<&bus_settings::coalesce>()},
    {.path = "buses.*.acknowledge.replicas",
     .type = integer,
     .reload = true,
     .range = {0, 100},
     .fallback = "0",
     .meaning = "How many replicas of the bus must have a write before it is answered.",
     .bind = of_acknowledge<&acknowledge_settings::replicas>()},
    {.path = "buses.*.acknowledge.local",
     .type = integer,
     .reload = true,
     .range = {0, 1},
     .fallback = "0",
     .meaning =
         "`1`: the append-only file of the bus itself must have it on disk, too. That takes `WAITAOF`, which "
         "Redis has since 7.2, and then only those replicas count that have it in theirs. A server that "
         "lacks "
         "the command, or has no append-only file, confirms nothing: the log says so, and every such write "
         "is "
         "answered `UNCONFIRMED`.",
     .bind = of_acknowledge<&acknowledge_settings::local>()},
    {.path = "buses.*.acknowledge.timeout",
     .type = duration,
     .reload = true,
     .range = {ms, minute, ms},
     .fallback = "50ms",
     .meaning =
         "How long a write may wait for that; then it is answered `UNCONFIRMED`. While a group of writes "
         "waits, the writes of the next one are not sent, so one that comes meanwhile may take twice as "
         "long. "
         "At most half of `backend.request_timeout`.",
     .bind = of_acknowledge<&acknowledge_settings::timeout>()},
    {.path = "buses.*.acknowledge.types",
     .type = text_list,
     .reload = true,
     .range = {1, max_name},
     .fallback_note = "every write",
     .meaning =
         "The message types of the `XADD`s that wait: exact names, or patterns as in `routing.types`. A "
         "message's type is found as for its routing, also if its key is pinned. Other requests do not wait "
         "then. Without `types` every write waits that goes to this bus as a whole: every `XADD`, other "
         "writing commands with keys of this bus only, scripts, and `EXEC`. These never wait: commands that "
         "are split over several buses (`XACK` or `DEL` of keys that are not pinned, for example), reads "
         "that "
         "write (`XREADGROUP`, `BLPOP` and its kin), and scripts with `server_commands: passed`.",
     .bind = of_bus_rules<&bus_rules::confirmed_types>()},
    {.path = "retired_slots",
     .type = text_list,
     .reload = true,
     .range = {1, 3},
     .fallback_note = "`[]`",
     .meaning =
         "The `id_slot`s of buses that have been removed, such as `[0]`. Clients may still hold IDs of their "
         "entries, so no other bus may have such a slot. A reload that removes a bus is refused unless its "
         "slot stands here.",
     .bind = top<&configuration::retired_slots>()},
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
     .reload = true,
     .fallback_note = "the value of `routing.default_bus`",
     .meaning =
         "The bus on which the existence of a consumer group is decided when a stream lies on several "
         "buses. It must be active. A reload that moves it first makes, on the new anchor, every group that "
         "the old one has and the new one lacks, at the beginning of the stream; it is refused if the new "
         "one "
         "has groups that the old one lacks, because these would come into being.",
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
    {.path = "backend.resolve_interval",
     .type = duration,
     .reload = true,
     .range = {0, hour, ms},
     .fallback = "30s",
     .meaning =
         "How often the name of a bus's endpoint is resolved while the bus is connected. If it leads to "
         "other "
         "addresses by then, the bus moves there as after a reload, as soon as a master answers there. `0` "
         "resolves names only for a new connection. A numeric address is never resolved.",
     .bind = in<&configuration::backend, &backend_settings::resolve_interval>()},
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
