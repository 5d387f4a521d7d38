#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/deadline.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/traffic_gate.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

// MONITOR and CLIENT PAUSE: what one client asks of the requests of all, on every worker.
//
// While anybody monitors, each worker hands its lines to all workers every few milliseconds, and hears from
// each how many monitors it has; when there are none left it stops.
namespace dualbus::session {
namespace {

using metrics::outcome;

constexpr std::chrono::milliseconds delivery_interval{10};

std::vector<session*> chosen(worker_context& worker, bool (*wanted)(const session&)) {
  std::vector<session*> result;
  worker.clients.for_each([&](session& s) {
    if (wanted(s)) result.push_back(&s);
  });
  return result;
}

std::string deliver(worker_context& worker, const std::string& lines) {
  const auto monitors = chosen(worker, [](const session& s) { return s.monitoring(); });
  if (!lines.empty()) {
    for (session* monitor : monitors) monitor->send_monitor_lines(lines);
  }
  return monitors.empty() ? "" : "some";
}

void hand_out_later(worker_context& worker);

void hand_out(worker_context& worker) {
  const std::uint64_t taps = worker.gate->taps();
  worker.ask_all([lines = worker.gate->take_lines()](worker_context& w) { return deliver(w, lines); },
                 [&worker, taps](const std::vector<std::string>& answers) {
                   const bool none = std::all_of(answers.begin(), answers.end(),
                                                 [](const std::string& answer) { return answer.empty(); });
                   if (!none || worker.gate->taps() != taps) return hand_out_later(worker);
                   worker.gate->set_tapped(false);
                   update_guard(worker);
                 });
}

void hand_out_later(worker_context& worker) {
  worker.timers.add(worker.now + delivery_interval, [&worker] { hand_out(worker); });
}

void tap(worker_context& worker) {
  const bool was_tapped = worker.gate->tapped();
  // Earlier lines are for those who monitor already: they go out ahead of the new one's +OK.
  if (was_tapped) {
    worker.ask_all([lines = worker.gate->take_lines()](worker_context& w) { return deliver(w, lines); },
                   [](const std::vector<std::string>&) {});
  }
  worker.gate->set_tapped(true);
  update_guard(worker);
  if (!was_tapped) hand_out_later(worker);
}

void answer_ok_when_all_have(worker_context& context, session& client, const request& what,
                             worker_context::question question) {
  client.defer(what.command);
  context.ask_all(std::move(question), [&context, id = client.id()](const std::vector<std::string>&) {
    session* const waiting = context.clients.find(id);
    if (waiting != nullptr) waiting->complete(outcome::ok, [](resp::encoder& out) { out.status("OK"); });
  });
}

void resume_clients(worker_context& worker) {
  update_guard(worker);
  for (session* s : chosen(worker, [](const session& c) { return !c.closed(); })) s->resume_after_pause();
}

void end_pause_in_time(worker_context& worker) {
  worker.timers.add(worker.gate->paused_until(), [&worker] {
    if (worker.gate->paused(worker.now)) return;  // it was extended
    worker.gate->unpause();
    resume_clients(worker);
  });
}

}  // namespace

void run_monitor(worker_context& context, session& client, const request& what) {
  client.set_monitoring(true);
  answer_ok_when_all_have(context, client, what, [](worker_context& worker) {
    tap(worker);
    return std::string();
  });
}

void run_client_pause(worker_context& context, session& client, const request& what) {
  const resp::arguments args = what.args;
  bool writes_only = false;
  if (args.size() == 4) {
    writes_only = base::is_word(args[3], "write");
    if (!writes_only && !base::is_word(args[3], "all")) {
      return client.refuse(what.command, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  } else if (args.size() > 4) {
    return refuse_subcommand_syntax(client, what);
  }
  const auto timeout = base::parse_int64(args[2]);
  if (!timeout) return client.refuse(what.command, "ERR timeout is not an integer or out of range");
  if (*timeout < 0) return client.refuse(what.command, "ERR timeout is negative");
  const base::time_point until = base::later(context.now, std::chrono::milliseconds(*timeout));
  answer_ok_when_all_have(context, client, what, [until, writes_only](worker_context& worker) {
    worker.gate->pause(until, writes_only);
    update_guard(worker);
    end_pause_in_time(worker);
    return std::string();
  });
}

void run_client_unpause(worker_context& context, session& client, const request& what) {
  answer_ok_when_all_have(context, client, what, [](worker_context& worker) {
    worker.gate->unpause();
    resume_clients(worker);
    return std::string();
  });
}

}  // namespace dualbus::session
