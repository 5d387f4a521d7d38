#include "control.hpp"

#include "handler/server/from_all.hpp"
#include "handler/server/subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/printable.hpp>

#include <string>
#include <vector>

namespace dualbus::handler {
namespace {

using metrics::outcome;

std::string kill_clients_of(const std::string& engine, std::uint64_t asking, const colleague& worker) {
  std::vector<session*> chosen;
  worker.clients.for_each([&](session& s) {
    if (s.id() != asking && !s.leaving() && s.attribution().known().name == engine) chosen.push_back(&s);
  });
  for (session* const s : chosen) s->leave(metrics::close_reason::killed);
  return std::to_string(chosen.size());
}

void write_trial(resp::encoder& out, const file_trial& found, bool check) {
  if (!check && found.mistakes > 0) {
    return out.error("ERR the configuration has " + std::to_string(found.mistakes) +
                     " mistake(s), nothing was changed: " + found.lines.front());
  }
  out.array(found.lines.size() + (check ? 0 : 1));
  if (!check) out.status("the reload has begun; the log says how it ends");
  for (const std::string& line : found.lines) {
    std::string text;
    base::append_printable(text, line, "");
    out.status(text);
  }
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

void run_reload(server_services& services, session& client, routed_request& request) {
  const bool check = request.args.size() == 3 && base::is_word(request.args[2], "check");
  if (request.args.size() > 2 && !check) return client.refuse(request, "ERR RELOAD knows CHECK");
  if (!check)
    base::warn_limited({}, "client {} {}: wants the configuration to be reloaded", client.id(),
                       client.peer_address());
  client.defer(request);
  services.daemon.try_file([&services, id = client.id(), check](const file_trial& found) {
    if (!check && found.mistakes == 0) services.daemon.reload();
    // Back to this worker's thread.
    services.workers().ask([](colleague&) { return std::string(); },
                           [&services, id, check, found](const std::vector<std::string>&) {
                             session* const waiting = services.clients().find(id);
                             if (waiting == nullptr) return;
                             const bool fine = check || found.mistakes == 0;
                             waiting->complete(fine ? metrics::outcome::ok : metrics::outcome::refused,
                                               [&](resp::encoder& out) { write_trial(out, found, check); });
                           });
  });
}

void run_log(server_services&, session& client, routed_request& request) {
  if (!base::is_word(request.args[2], "level") || request.args.size() > 4)
    return client.refuse(request, "ERR LOG knows LEVEL");
  if (request.args.size() == 3) {
    const auto name = spdlog::level::to_string_view(spdlog::get_level());
    return client.answer(request, outcome::ok, [&](resp::encoder& out) {
      out.status({name.data(), name.size()});
    });
  }
  for (const char* const level : {"trace", "debug", "info", "warning", "error", "off"}) {
    if (!base::is_word(request.args[3], level)) continue;
    base::warn_limited({}, "client {} {}: sets the level of the log to {}", client.id(),
                       client.peer_address(), level);
    base::set_log_level(level);
    return answer_ok(client, request);
  }
  client.refuse(request, "ERR the levels are trace, debug, info, warning, error and off");
}

void run_drain(server_services& services, session& client, routed_request& request) {
  base::warn_limited({}, "client {} {}: wants the daemon to drain", client.id(), client.peer_address());
  services.daemon.drain();
  answer_ok(client, request);
}

}  // namespace dualbus::handler
