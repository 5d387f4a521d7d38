#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/handler/traffic_gate.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

// MONITOR and CLIENT PAUSE: requests of one client that concern the requests of all clients, on every worker.
//
// While anybody monitors, each worker hands its lines to all workers every few milliseconds, and each of
// these tells it how many monitors it has; when no monitors are left, the worker stops.
namespace dualbus::handler {
namespace {

using metrics::outcome;

constexpr std::chrono::milliseconds delivery_interval{10};

std::vector<session*> chosen(colleague& worker, bool (*wanted)(const session&)) {
  std::vector<session*> result;
  worker.clients.for_each([&](session& s) {
    if (wanted(s)) result.push_back(&s);
  });
  return result;
}

std::string deliver(colleague& worker, const std::string& lines) {
  const auto monitors = chosen(worker, [](const session& s) { return s.monitoring(); });
  if (!lines.empty()) {
    for (session* monitor : monitors) monitor->send_monitor_lines(lines);
  }
  return monitors.empty() ? "" : "some";
}

void hand_out_later(colleague& worker);

void hand_out(colleague& worker) {
  const std::uint64_t taps = worker.gate.taps();
  worker.all.ask([lines = worker.gate.take_lines()](colleague& w) { return deliver(w, lines); },
                 [&worker, taps](const std::vector<std::string>& answers) {
                   const bool none = std::all_of(answers.begin(), answers.end(),
                                                 [](const std::string& answer) { return answer.empty(); });
                   if (!none || worker.gate.taps() != taps) return hand_out_later(worker);
                   worker.gate.set_tapped(false);
                 });
}

void hand_out_later(colleague& worker) {
  worker.turn.timers.add(worker.turn.now + delivery_interval, [&worker] { hand_out(worker); });
}

void tap(colleague& worker) {
  const bool was_tapped = worker.gate.tapped();
  // Earlier lines are for the monitors that were there before: they go out ahead of the new one's +OK.
  if (was_tapped) {
    worker.all.ask([lines = worker.gate.take_lines()](colleague& w) { return deliver(w, lines); },
                   [](const std::vector<std::string>&) {});
  }
  worker.gate.set_tapped(true);
  if (!was_tapped) hand_out_later(worker);
}

void answer_ok_when_all_have(server_services& services, session& client, routed_request& request,
                             colleagues::question question) {
  client.defer(request);
  services.workers().ask(std::move(question), [&services, id = client.id()](const std::vector<std::string>&) {
    session* const waiting = services.clients().find(id);
    if (waiting != nullptr) waiting->complete(outcome::ok, [](resp::encoder& out) { out.status("OK"); });
  });
}

void resume_clients(colleague& worker) {
  for (session* s : chosen(worker, [](const session& c) { return !c.closed(); })) s->resume_after_pause();
}

void end_pause_in_time(colleague& worker) {
  worker.turn.timers.add(worker.gate.paused_until(), [&worker] {
    if (worker.gate.paused(worker.turn.now)) return;  // it was extended
    worker.gate.unpause();
    resume_clients(worker);
  });
}

}  // namespace

void run_monitor(server_services& services, session& client, routed_request& request) {
  client.set_monitoring(true);
  answer_ok_when_all_have(services, client, request, [](colleague& worker) {
    tap(worker);
    return std::string();
  });
}

void run_client_pause(server_services& services, session& client, routed_request& request) {
  const resp::arguments args = request.args;
  bool writes_only = false;
  if (args.size() == 4) {
    writes_only = base::is_word(args[3], "write");
    if (!writes_only && !base::is_word(args[3], "all")) {
      return client.refuse(request, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  } else if (args.size() > 4) {
    return refuse_subcommand_syntax(client, request);
  }
  const auto timeout = base::parse_int64(args[2]);
  if (!timeout) return client.refuse(request, "ERR timeout is not an integer or out of range");
  if (*timeout < 0) return client.refuse(request, "ERR timeout is negative");
  const base::time_point until = base::later(services.turn.now, std::chrono::milliseconds(*timeout));
  answer_ok_when_all_have(services, client, request, [until, writes_only](colleague& worker) {
    worker.gate.pause(until, writes_only);
    end_pause_in_time(worker);
    return std::string();
  });
}

void run_client_unpause(server_services& services, session& client, routed_request& request) {
  answer_ok_when_all_have(services, client, request, [](colleague& worker) {
    worker.gate.unpause();
    resume_clients(worker);
    return std::string();
  });
}

}  // namespace dualbus::handler
