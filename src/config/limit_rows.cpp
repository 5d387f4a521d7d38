#include "bindings.hpp"
#include "key_rows.hpp"

#include <string>
#include <utility>

namespace dualbus::config {
namespace {

using enum value_type;

constexpr key_row rows[] = {
    {.path = "limits.memory",
     .type = bytes,
     .reload = true,
     .range = {16 * mb, 1024 * gb},
     .fallback_note = "half of what the process may use: of the machine, its control group, `ulimit -v`",
     .meaning =
         "The memory that the daemon keeps for all clients together: replies that wait to be read or merged, "
         "requests that came "
         "in part, transactions, requests that no bus has taken yet, reads that wait, names and "
         "subscriptions. From three quarters on, a client "
         "that has "
         "64 kB of replies to read is not read before it has taken them, and is cut off if it takes none for "
         "ten "
         "seconds. From seven eighths on, requests of 16 kB and more and commands within MULTI are refused "
         "with `OOM`. "
         "At the limit the clients that hold most are cut off, largest first, until it holds again, as "
         "Redis's "
         "`maxmemory-clients` does; `CLIENT NO-EVICT` spares a client. If that does not help, every command "
         "for a bus "
         "is refused with `OOM`. The process itself needs some 20 mb more, and twice the largest value.",
     .bind = in<&configuration::limits, &limit_settings::memory>()},
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
         "does. Also what all commands between MULTI and EXEC may take together, 256 bytes each besides what "
         "they hold; beyond that the transaction is refused.",
     .bind = in<&configuration::limits, &limit_settings::max_request>()},
    {.path = "limits.client_output_buffer",
     .type = bytes,
     .reload = true,
     .range = {64 * kb, 64 * gb},
     .fallback = "256mb",
     .meaning = "Replies that may wait for one client that does not read; beyond that it is cut off. So it "
                "is when as much for each bus waits to be merged into its replies.",
     .bind = in<&configuration::limits, &limit_settings::client_output_buffer>()},
    {.path = "limits.pubsub_output_buffer",
     .type = bytes,
     .reload = true,
     .range = {64 * kb, 64 * gb},
     .fallback = "32mb",
     .meaning =
         "Messages and replies that may wait for one client that has subscriptions and does not read; beyond "
         "that it is cut off. Redis calls this `client-output-buffer-limit pubsub`.",
     .bind = in<&configuration::limits, &limit_settings::pubsub_output_buffer>()},
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
    {.path = "limits.login_timeout",
     .type = duration,
     .reload = true,
     .range = {0, hour, s},
     .fallback = "60s",
     .meaning =
         "A client that must log in and has not done so within this time is closed; `0` means never. See "
         "[security.md](security.md#before-login).",
     .bind = in<&configuration::limits, &limit_settings::login_timeout>()},
    {.path = "limits.login_delay",
     .type = duration,
     .reload = true,
     .range = {0, minute, ms},
     .fallback = "1s",
     .meaning =
         "After five failed log-ins from one address, each further one makes all log-ins from there wait "
         "longer, up to this time; a minute without a failure ends that. `0` turns it off.",
     .bind = in<&configuration::limits, &limit_settings::login_delay>()},
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
    {.path = "limits.drain_delay",
     .type = duration,
     .reload = true,
     .range = {0, hour, ms},
     .fallback = "10s",
     .meaning =
         "How long the daemon goes on serving after `SIGUSR1`, while `/readyz` answers 503, before it closes "
         "its listeners and ends as after `SIGTERM`. Choose it longer than load balancers need to notice. "
         "See "
         "[availability.md](availability.md#readiness).",
     .bind = in<&configuration::limits, &limit_settings::drain_delay>()},
    {.path = "limits.shutdown_timeout",
     .type = duration,
     .reload = true,
     .range = {0, hour, ms},
     .fallback = "10s",
     .meaning =
         "How long the daemon, told to stop, waits for the answers to requests in flight before it closes "
         "the connections that still owe some.",
     .bind = in<&configuration::limits, &limit_settings::shutdown_timeout>()},
};

}  // namespace

std::span<const key_row> limit_rows() {
  return rows;
}

}  // namespace dualbus::config
