#include "metric_table.hpp"

#include <dualbus/admin/metrics_reference.hpp>
#include <dualbus/metrics/histogram.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dualbus::admin {
namespace {

using metrics::metric_description;
using metrics::section;

constexpr std::string_view introduction = R"(# Metrics

<!-- The output of `dualbusd --metrics-reference`: change the lists of metrics and run it again. -->

The daemon serves Prometheus's text format at `http://<admin address>:<admin port>/metrics`; `admin` in the
configuration sets both (127.0.0.1:9121 unless set, port 0 turns it off). `deploy/prometheus.yml` scrapes it,
`deploy/alerts.yml` holds alerts, and `deploy/grafana` a dashboard; all are ready to use. The [runbook](runbook.md) says of
each alert what it means and what to do. In `deploy/docker-compose.yml`, `--profile monitoring` starts Prometheus and Grafana.

| Page | Says |
|---|---|
| `/metrics` | the metrics below |
| `/metrics/redis?bus=NAME` | those of one Redis, as redis_exporter would show them, see [below](#dashboards-made-for-redis_exporter) |
| `/drain` | JSON: what still holds each draining bus back, see [draining.md](draining.md) |
| `/healthz` | 200 as long as the process runs |
| `/readyz` | 200 when the daemon takes clients and at least one active bus does its job: it is connected, answers, and takes reads and writes; else 503. `/readyz?bus=NAME` asks for one bus, `/readyz?all` for every active one. The page says of each bus whether it does its job, and if not, why and since when. See [availability.md](availability.md#readiness) |
| `/api/v1/…` | JSON: tables of buses, engines, message types, clients and more with the rates of the last minute, see [console.md](console.md#the-same-over-http) |
| `/` | the same for people, with charts of the last quarter of an hour |

The workers count: each has fields of its own, and copies them when somebody asks, so counting
costs requests nothing and a scrape costs each worker one copy. Redis's figures about itself come from `INFO`, asked
every second over one kept connection per bus (`dualbusd-info` in `CLIENT LIST`) by threads that carry no traffic.
Metrics about Redis have the names that redis_exporter gives them, with a `bus` label. While a Redis doesn't answer, only `redis_up` is shown for it: an old figure would look like a current one.

Label values are valid UTF-8: control characters and other bytes appear as `\xNN`, and names are cut after 128 bytes,
which a trailing `...` shows. No label holds a client's address.

A series that begins with its first event hides that event from `increase()`. Series whose labels are known are
therefore there at 0 before anything happens: all reasons, outcomes and rules by bus; message types that `routing.types`
names, on their bus; of `redis_errors_total` the errors that one may wait for (`OOM`, `READONLY`, `MISCONF`, `NOGROUP`, …).
Commands, engines, other message types and other errors appear when they are first seen: don't wait for their first event.
)";

struct section_text {
  std::string_view title, before, after;  ///< the table stands between the two
};

// The texts of the sections, in the order of the enumeration.
constexpr section_text section_texts[metrics::section_count] = {
    {"Daemon", "", ""},
    {"Requests and messages", "",
     R"(`outcome` is `ok`, `redis_error` (an error that Redis answered), `refused` (an error of the daemon's own: unknown,
malformed, not supported, crossing buses), `bus_down` (not sent: safe to repeat), `bus_lost` (sent, connection lost,
outcome unknown), `bus_timeout` (sent, no answer in time, outcome unknown) or `unconfirmed` (the bus has the write, and
too few replicas have confirmed it in time).

`rule` is `type` (exact name of the type in the message's field), `glob` (glob that it matches), `json` (type found in
a JSON field), `key` (the key is pinned) or `default` (nothing matched). `message_type` is `none` for messages without a
type and `other` for types beyond the cap on names.
)"},
    {"Engines",
     R"(Which engine is behind a connection decides which row counts what it does: an engine that has a row with connections
has come over to the daemon, and one that fails or asks too much shows itself by name.
)",
     R"(The engine of a connection is, the best first:

1. the name that the client gives itself, with `CLIENT SETNAME` or `HELLO … SETNAME`;
2. the value of the field `engines.field` (`source_engine` unless set) of a message that it publishes. Only the first
   100 messages of a connection are searched, and none once there is a value: a connection is taken to belong to one
   engine;
3. the name of the consumer in XREADGROUP, XCLAIM or XAUTOCLAIM, without the ID at its end: `risk` for
   `risk-engine-risk-3`, `risk-3` or `risk-9f3a`.

From all three, what begins with `-engine-` is left off, so that an engine has one row however its connections are
named. Without any of them a connection counts as `unknown`, and so do the commands before it is known; they stay there.
A connection that turns out to be another engine's, because a better source shows up or because it renames itself, takes
its place among the connections along and nothing else. An empty name takes the name back, as RESET does.

Each worker counts `engines.max_names` engines by name; further ones, and names longer than 128 bytes, count as `other`.
A row stays when its engine has gone.
)"},
    {"Buses, as the daemon sees them", "", ""},
    {"Draining buses",
     R"(These exist for buses with `state: draining` only; [draining.md](draining.md) explains what they mean. Ignored groups
count in none of them. While the bus doesn't answer, the gauges about it are absent: not known is not drained.
)",
     ""},
    {"Redis, as it sees itself", "", ""},
};

constexpr std::string_view dashboards = R"(## Dashboards made for redis_exporter

These dashboards take all series of one `instance` for one Redis. `/metrics` has all buses under the `instance` of the daemon, so
they would add the buses up. `/metrics/redis?bus=NAME` has the metrics of one Redis, without the label `bus`, for one target
per bus. `deploy/prometheus.yml` shows how:

- The job `redis` asks for the page of each bus that it names. The series get `instance` and `bus` with the name of the bus, and
  `namespace="dualbus"`, which dashboard 763 selects by.
- The job `dualbus` leaves the same metrics out, so that they are stored once.
- A bus that you add belongs among the targets of the job `redis`. The alert `DualbusRedisFiguresMissing` fires for a bus that is
  not there. With a name that no bus has, the page is 404 and names the buses that there are.
- All daemons see the same Redis servers: with several, one of them serves the job `redis`.

Without such dashboards the job `dualbus` is enough: leave out its `metric_relabel_configs` and the job `redis`. The alerts and the
dashboard in `deploy/grafana` work either way.

| Dashboard | Stays empty |
|---|---|
| [Grafana 763](https://grafana.com/grafana/dashboards/763-redis-dashboard-for-prometheus-redis-exporter-1-x/) | nothing; "Memory Usage" has no value where `maxmemory` is 0 |
| [redis mixin](https://github.com/oliver006/redis_exporter/tree/master/contrib/redis-mixin) | "Time since last master connection", as of any master; "Memory fragmentation ratio" without the mixin's recording rule |
| alerts of the redis mixin | those about clusters, as of any Redis that is none |

)";

constexpr std::string_view questions = R"(## Questions and their PromQL

```promql
# CPU of each Redis, in percent of a core: now, and over five minutes
100 * redis_cpu_ratio
100 * (rate(redis_cpu_sys_seconds_total[5m]) + rate(redis_cpu_user_seconds_total[5m]))

# The commands that take it: the five dearest of each bus, in seconds per second
topk by (bus) (5, rate(redis_commands_duration_seconds_total[5m]))

# Calls that only cost: readers of groups that don't exist (failed), writes that a full Redis refuses (rejected)
sum by (bus, cmd) (rate(redis_commands_failed_calls_total[5m])) > 0
sum by (bus, cmd) (rate(redis_commands_rejected_calls_total[5m])) > 0
sum by (bus, err) (increase(redis_errors_total[5m])) > 0

# Messages per second by bus; which types go where; what no rule matched
sum by (bus) (rate(dualbus_messages_routed_total[1m]))
topk(10, sum by (message_type, bus) (rate(dualbus_messages_routed_total[1m])))
sum by (message_type) (rate(dualbus_messages_routed_total{rule="default"}[5m]))

# The 99th percentile at the bus, and what the daemon adds
histogram_quantile(0.99, sum by (bus, le) (rate(dualbus_request_bus_duration_seconds_bucket[5m])))
histogram_quantile(0.99, sum by (bus, le) (rate(dualbus_request_daemon_duration_seconds_bucket[5m])))

# Share of requests later than the bus's target
rate(dualbus_latency_target_missed_total[5m]) / rate(dualbus_request_bus_duration_seconds_count[5m])

# Requests whose outcome the client doesn't know
increase(dualbus_request_outcomes_total{outcome=~"bus_lost|bus_timeout"}[1h])
sum by (cmd) (increase(dualbus_requests_total{outcome=~"bus_lost|bus_timeout"}[1h]))

# Engines that are here; who is noisy; what share of whose commands fails
dualbus_engine_connections > 0
topk(5, rate(dualbus_engine_commands_total[5m]))
rate(dualbus_engine_failed_commands_total[5m]) / (rate(dualbus_engine_commands_total[5m]) > 0)

# The cost of an engine at the buses, in seconds per message that it consumed or published
rate(dualbus_engine_backend_seconds_total[5m])
  / (rate(dualbus_engine_messages_consumed_total[5m]) + rate(dualbus_engine_messages_published_total[5m]) > 0)

# Buses that do not do their job, and why; for how long a bus has been silent
dualbus_bus_state{state!="up"} == 1
time() - dualbus_bus_last_answer_timestamp_seconds

# Connections: engines to the daemon, and daemon to Redis
dualbus_clients
sum by (bus) (dualbus_backend_connections{state="up"})

# CPU of the daemon per request, in microseconds
1e6 * rate(process_cpu_seconds_total[5m]) / sum without (cmd, outcome) (rate(dualbus_requests_total[5m]))

# Memory left until Redis evicts or refuses
(redis_memory_max_bytes > 0) - redis_memory_used_bytes
```
)";

std::string row_of(const metric_description& metric) {
  std::string text =
      "| `" + std::string(metric.name) + "` | " + std::string(metrics::kind_name(metric.kind)) + " | ";
  if (!metric.labels.empty()) text.append("`").append(metric.labels).append("`");
  return text.append(" | ").append(metric.meaning).append(" |\n");
}

std::string time_text(std::int64_t ns) {
  if (ns >= 1'000'000'000) return std::to_string(ns / 1'000'000'000) + " s";
  if (ns >= 1'000'000) return std::to_string(ns / 1'000'000) + " ms";
  return std::to_string(ns / 1'000) + " µs";
}

std::string bounds_text() {
  std::string text = "The buckets of the histograms end at";
  std::string_view separator = " ";
  for (const std::int64_t bound : metrics::histogram::bounds_ns) {
    text.append(separator).append(time_text(bound));
    separator = ", ";
  }
  return text.append(".\n");
}

std::string section_of_reference(section which) {
  const section_text& about = section_texts[static_cast<std::size_t>(which)];
  std::string text = "\n## " + std::string(about.title) + "\n\n";
  if (!about.before.empty()) text.append(about.before).append("\n");
  text += "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n";
  for (const metric_description& metric : metric_table()) {
    if (metric.section == which) text += row_of(metric);
  }
  if (which == section::buses) text.append("\n").append(bounds_text());
  if (!about.after.empty()) text.append("\n").append(about.after);
  return text;
}

}  // namespace

std::string metrics_reference_markdown() {
  std::string text(introduction);
  for (std::size_t i = 0; i < metrics::section_count; ++i)
    text += section_of_reference(static_cast<section>(i));
  return text.append("\n").append(dashboards).append(questions);
}

}  // namespace dualbus::admin
