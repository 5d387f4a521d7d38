#include "bindings.hpp"
#include "key_rows.hpp"

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
         "one of the machine. An address beyond loopback needs users in `auth.users`, or "
         "`auth.allow_unauthenticated: true` for networks in which everybody may use every bus.",
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
    {.path = "admin.hosts",
     .type = text_list,
     .reload = true,
     .range = {1, 255},
     .fallback_note = "`[]`",
     .meaning =
         "Further names, or patterns as in `KEYS`, by which the HTTP listener is asked. Requests whose "
         "`Host` "
         "is a numeric address, a name without a dot or the machine's own name are always answered; any "
         "other is refused, because a foreign web page may have sent it.",
     .bind = in<&configuration::admin, &admin_settings::hosts>()},
    {.path = "control.socket",
     .type = socket_path,
     .range = {0, max_unix_path - 4},
     .fallback_note = "none",
     .meaning = "The absolute path of the Unix socket at which `dualbusd --take-over PATH` asks this process "
                "for its "
                "listeners and clients. Only the user of the daemon may: the socket has the permissions "
                "0600, and the "
                "process at the other end must have the same user.",
     .bind = in<&configuration::control, &control_settings::socket>()},
    {.path = "control.handover_timeout",
     .type = duration,
     .reload = true,
     .range = {0, hour, ms},
     .fallback = "10s",
     .meaning = "How long a hand-over waits for clients that cannot go: those that watch keys (`WATCH`), and "
                "those whose "
                "request takes long. Behind it a transaction that watches goes, and its `EXEC` answers nil; "
                "other clients "
                "stay with the old process, which ends them as at its own end. It stands here and not in "
                "`limits`, because "
                "no client is limited by it: all others go at once.",
     .bind = in<&configuration::control, &control_settings::handover_timeout>()},
    {.path = "workers",
     .type = integer,
     .range = {1, 128},
     .fallback = "1",
     .meaning =
         "Threads that serve clients. Each has connections of its own to every bus, so every worker adds "
         "to the connections that the buses see. One is enough until it is busy all the time.",
     .bind = top<&configuration::workers>()},
    {.path = "databases",
     .type = integer,
     .range = {1, 256},
     .fallback = "1",
     .meaning =
         "How many databases clients can `SELECT`. Database 0 of the clients is `buses.*.database` of each "
         "bus, "
         "1 the one behind it, and so on; the buses must have that many. Streams over several buses are in "
         "database 0 only: in the others every key has one bus. See "
         "[differences.md](differences.md#databases).",
     .bind = top<&configuration::databases>()},
    {.path = "engines.field",
     .reload = true,
     .range = {1, max_name},
     .fallback = "source_engine",
     .meaning =
         "The field of an `XADD` that names the engine which publishes the message. It is looked for in the "
         "first 100 messages of a connection, until one has it.",
     .bind = in<&configuration::engines, &engine_settings::field>()},
    {.path = "engines.max_names",
     .type = integer,
     .reload = true,
     .range = {0, 10000},
     .fallback = "200",
     .meaning = "How many engines each worker counts by name; further ones count as `other`.",
     .bind = in<&configuration::engines, &engine_settings::max_names>()},
    {.path = "slowlog.threshold",
     .type = duration,
     .reload = true,
     .range = {0, hour},
     .fallback = "10ms",
     .meaning =
         "A request that takes at least so long, from its arrival to its answer, is kept for `SLOWLOG GET`. "
         "`0` keeps all that go to a bus. Commands that may block are left out.",
     .bind = in<&configuration::slowlog, &slowlog_settings::threshold>()},
    {.path = "slowlog.max_entries",
     .type = integer,
     .reload = true,
     .range = {0, 100000},
     .fallback = "128",
     .meaning = "How many of them each worker keeps; older ones go. `0` keeps none.",
     .bind = in<&configuration::slowlog, &slowlog_settings::max_entries>()},
    {.path = "slowlog.arguments",
     .type = choice,
     .reload = true,
     .choices = "false|true",
     .fallback = "false",
     .meaning =
         "`true` also keeps the arguments, cut as Redis cuts them. That costs a copy of every request, since "
         "nobody knows beforehand which will be slow; `false` keeps the command's name.",
     .bind = in<&configuration::slowlog, &slowlog_settings::arguments>()},
    {.path = "log.level",
     .type = choice,
     .reload = true,
     .choices = "trace|debug|info|warning|error|off",
     .fallback = "info",
     .meaning = "The least important messages that are written.",
     .bind = top<&configuration::log_level>()},
    {.path = "log.format",
     .type = choice,
     .reload = true,
     .choices = "text|json",
     .fallback = "text",
     .meaning =
         "`json` writes each line as a JSON object with `time` (RFC 3339), `level`, `event` (a name for the "
         "kind of event, such as `bus_is_up`), `message`, `pid`, and `subject` where there is one, such as "
         "the name of a bus. What comes before the configuration is read is text.",
     .bind = top<&configuration::log_format>()},
    {.path = "log.file",
     .type = socket_path,
     .reload = true,
     .range = {0, 4095},
     .fallback_note = "none",
     .meaning =
         "The absolute path of a file to which every line is appended, in addition to standard error. It is "
         "made with the permissions 0640 if it is not there, and its folder must be. `SIGHUP` opens it anew, "
         "so that it can be renamed first: in a file for logrotate, `postrotate` is `systemctl kill "
         "--kill-whom=main --signal=HUP dualbusd`. The daemon never waits for it: lines that it does not "
         "take are counted and, as soon as it takes some again, their number is said.",
     .bind = top<&configuration::log_file>()},
};

}  // namespace

std::span<const key_row> server_rows() {
  return rows;
}

}  // namespace dualbus::config
