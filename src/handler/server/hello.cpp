#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/handler/authorization.hpp>
#include <dualbus/operation/forwarding.hpp>

#include <chrono>
#include <optional>
#include <string>

// PING, ECHO, HELLO, SELECT, TIME, QUIT, RESET: commands about one connection.
namespace dualbus::handler {
using metrics::outcome;

void run_ping(server_services& services, session& client, routed_request& request) {
  // The bus answers, since it may be loading or busy; subscribers get another form of reply, from here.
  if (services.routing.router(client.database()).passing() && !client.subscriber_mode() &&
      !request.out.staged()) {
    return services.forwarder.forward(client, request, 0);
  }
  if (request.args.size() > 2) return refuse_arity(client, request, "ping");
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
    if (client.subscriber_mode()) {
      out.array(2);
      out.bulk("pong");
      return out.bulk(request.args.size() == 2 ? request.args[1] : std::string_view());
    }
    if (request.args.size() == 2) return out.bulk(request.args[1]);
    out.status("PONG");
  });
}

void run_time(server_services&, session& client, routed_request& request) {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  client.answer(request, outcome::ok, [micros](resp::encoder& out) {
    out.array(2);
    out.bulk(std::to_string(micros / 1'000'000));
    out.bulk(std::to_string(micros % 1'000'000));
  });
}

backend::server_identity server_services::identity() const {
  const backend::server_identity& said = buses.bus(configuration().routing.default_bus).identity();
  return said.known() ? said : backend::server_identity{"redis", "7.0.0"};
}

void run_hello(server_services& services, session& client, routed_request& request) {
  const resp::arguments args = request.args;
  resp::protocol version = client.protocol();
  std::size_t next = 1;
  if (args.size() > 1) {
    const auto number = base::parse_int64(args[1]);
    if (!number) return client.refuse(request, "ERR Protocol version is not an integer or out of range");
    if (*number != 2 && *number != 3) return client.refuse(request, "NOPROTO unsupported protocol version");
    version = static_cast<resp::protocol>(*number);
    next = 2;
  }
  std::optional<std::string_view> name;
  for (; next < args.size(); ++next) {
    const std::size_t more = args.size() - 1 - next;
    if (base::is_word(args[next], "auth") && more >= 2) {
      if (!services.rights.log_in(client, request, args[next + 1], args[next + 2])) return;
      next += 2;
    } else if (base::is_word(args[next], "setname") && more >= 1) {
      name = args[++next];
      for (const char c : *name) {
        if (c < '!' || c > '~') {
          return client.refuse(request,
                               "ERR Client names cannot contain spaces, newlines or special characters.");
        }
      }
    } else {
      return client.refuse(request, "ERR Syntax error in HELLO option '" + std::string(args[next]) + "'");
    }
  }
  if (services.access().restricts() && client.current_user() == nullptr) {
    return client.refuse(request,
                         "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                         "HELLO AUTH <user> <pass> option can be used to authenticate the client and "
                         "select the RESP protocol version at the same time");
  }
  if (name) client.set_name(*name);
  client.set_protocol(version);
  const backend::server_identity server = services.identity();
  client.answer(request, outcome::ok, [&](resp::encoder& out) {
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

}  // namespace dualbus::handler
