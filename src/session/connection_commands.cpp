#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/session/authorization.hpp>
#include <dualbus/session/database_commands.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/subscription_commands.hpp>
#include <dualbus/session/worker_context.hpp>

#include <chrono>
#include <optional>
#include <string>

// PING, ECHO, HELLO, SELECT, TIME, QUIT, RESET: one connection's matters.
namespace dualbus::session {
namespace {

using metrics::outcome;

void run_ping(worker_context& context, session& client, const request& what) {
  // Redis answers it in its own way while it is loading or busy, and to subscribers in theirs.
  if (context.router(client.database()).passing() && !client.subscriber_mode() &&
      !context.transactions.playing()) {
    return forward(context, client, what, 0, false);
  }
  if (what.args.size() > 2) return refuse_arity(client, what, "ping");
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    if (client.subscriber_mode()) {
      out.array(2);
      out.bulk("pong");
      return out.bulk(what.args.size() == 2 ? what.args[1] : std::string_view());
    }
    if (what.args.size() == 2) return out.bulk(what.args[1]);
    out.status("PONG");
  });
}

void run_time(session& client, const request& what) {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  client.answer(what.command, outcome::ok, [micros](resp::encoder& out) {
    out.array(2);
    out.bulk(std::to_string(micros / 1'000'000));
    out.bulk(std::to_string(micros % 1'000'000));
  });
}

}  // namespace

void run_hello(worker_context& context, session& client, const request& what) {
  const resp::arguments args = what.args;
  resp::protocol version = client.protocol();
  std::size_t next = 1;
  if (args.size() > 1) {
    const auto number = base::parse_int64(args[1]);
    if (!number) return client.refuse(what.command, "ERR Protocol version is not an integer or out of range");
    if (*number != 2 && *number != 3)
      return client.refuse(what.command, "NOPROTO unsupported protocol version");
    version = static_cast<resp::protocol>(*number);
    next = 2;
  }
  std::optional<std::string_view> name;
  for (; next < args.size(); ++next) {
    const std::size_t more = args.size() - 1 - next;
    if (base::is_word(args[next], "auth") && more >= 2) {
      if (!log_in(context, client, what, args[next + 1], args[next + 2])) return;
      next += 2;
    } else if (base::is_word(args[next], "setname") && more >= 1) {
      name = args[++next];
      for (const char c : *name) {
        if (c < '!' || c > '~') {
          return client.refuse(what.command,
                               "ERR Client names cannot contain spaces, newlines or special characters.");
        }
      }
    } else {
      return client.refuse(what.command,
                           "ERR Syntax error in HELLO option '" + std::string(args[next]) + "'");
    }
  }
  if (context.access().restricts() && client.current_user() == nullptr) {
    return client.refuse(what.command,
                         "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                         "HELLO AUTH <user> <pass> option can be used to authenticate the client and "
                         "select the RESP protocol version at the same time");
  }
  if (name) client.set_name(*name);
  client.set_protocol(version);
  const backend::server_identity server = context.identity();
  client.answer(what.command, outcome::ok, [&](resp::encoder& out) {
    out.map(7);
    out.bulk("server");
    out.bulk(server.name);
    out.bulk("version");
    out.bulk(server.version);
    out.bulk("proto");
    out.integer(static_cast<int>(version));
    out.bulk("id");
    out.integer(static_cast<std::int64_t>(client.id()));
    out.bulk("mode");
    out.bulk("standalone");
    out.bulk("role");
    out.bulk("master");
    out.bulk("modules");
    out.array(0);
  });
}

void run_local_command(worker_context& context, session& client, const command::command_spec& spec,
                       const request& what) {
  if (spec.route == command::route::subscribe) return run_subscription(context, client, spec, what);
  if (spec.route == command::route::pubsub) return run_pubsub(context, client, what);
  if (spec.name == "ping") return run_ping(context, client, what);
  if (spec.name == "echo") {
    return client.answer(what.command, outcome::ok, [&](resp::encoder& out) { out.bulk(what.args[1]); });
  }
  if (spec.name == "hello") return run_hello(context, client, what);
  if (spec.name == "acl") return run_acl(context, client, what);
  if (spec.name == "slowlog") return run_slowlog(context, client, what);
  if (spec.name == "monitor") return run_monitor(context, client, what);
  if (spec.name == "client") return run_client(context, client, what);
  if (spec.name == "command") return run_command(context, client, what);
  if (spec.name == "info") return run_info(context, client, what);
  if (spec.name == "config") return run_config(context, client, what);
  if (spec.name == "select") return run_select(context, client, what);
  if (spec.name == "time") return run_time(client, what);
  if (spec.name == "auth") return run_auth(context, client, what);
  if (spec.name == "reset") {
    client.reset();
    return client.answer(what.command, outcome::ok, [](resp::encoder& out) { out.status("RESET"); });
  }
  if (spec.name == "quit") {
    answer_ok(client, what);
    return client.close_after_replies(metrics::close_reason::client);
  }
  run_server_command(context, client, spec, what);
}

}  // namespace dualbus::session
