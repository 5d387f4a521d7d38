#include "control.hpp"

#include "handler/server/from_all.hpp"
#include "handler/server/subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>

#include <csignal>
#include <string>
#include <unistd.h>
#include <vector>

namespace dualbus::handler {
namespace {

std::string kill_clients_of(const std::string& engine, std::uint64_t asking, const colleague& worker) {
  std::vector<session*> chosen;
  worker.clients.for_each([&](session& s) {
    if (s.id() != asking && !s.leaving() && s.attribution().known().name == engine) chosen.push_back(&s);
  });
  for (session* const s : chosen) s->leave(metrics::close_reason::killed);
  return std::to_string(chosen.size());
}

}  // namespace

void run_kill(server_services& services, session& client, routed_request& request) {
  if (!base::is_word(request.args[2], "engine")) return client.refuse(request, "ERR KILL knows ENGINE");
  const std::string engine(request.args[3]);
  base::warn_limited({}, "client {} {}: the clients of the engine {} are sent away", client.id(),
                     client.peer_address(), base::in_log(engine));
  answer_from_all(
      services, client, request,
      [engine, asking = client.id()](colleague& worker) { return kill_clients_of(engine, asking, worker); },
      [](resp::encoder& out, const std::vector<std::string>& counts) {
        std::int64_t killed = 0;
        for (const std::string& count : counts) killed += std::stoll(count);
        out.integer(killed);
      });
}

void run_drain(server_services&, session& client, routed_request& request) {
  base::warn_limited({}, "client {} {}: wants the daemon to drain", client.id(), client.peer_address());
  ::kill(::getpid(), SIGUSR1);
  answer_ok(client, request);
}

}  // namespace dualbus::handler
