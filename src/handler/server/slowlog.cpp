#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/client/slow_log.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// SLOWLOG: the daemon's own slow requests, of all workers.
namespace dualbus::handler {
namespace {

using metrics::outcome;

// Filled by the workers, one after the other.
struct collection {
  std::mutex mutex;
  std::vector<client::slow_entry> entries;
};

void write_entry(resp::encoder& out, const client::slow_entry& entry) {
  out.array(7);
  out.integer(static_cast<std::int64_t>(entry.id));
  out.integer(entry.time);
  out.integer(entry.micros);
  out.array(entry.arguments.size());
  for (const std::string& argument : entry.arguments) out.bulk(argument);
  out.bulk(entry.address);
  out.bulk(entry.client_name);
  out.integer(entry.bus_micros);
}

void get(server_services& services, session& client, routed_request& request) {
  if (request.args.size() > 3) return refuse_subcommand_syntax(client, request);
  std::int64_t count = 10;
  if (request.args.size() == 3) {
    const auto given = base::parse_int64(request.args[2]);
    if (!given || *given < -1) {
      return client.refuse(request, "ERR count should be greater than or equal to -1");
    }
    count = *given;
  }
  client.defer(request);
  auto all = std::make_shared<collection>();
  const auto question = [all](colleague& worker) {
    const std::lock_guard lock(all->mutex);
    const auto& entries = worker.slow_log.entries();
    all->entries.insert(all->entries.end(), entries.begin(), entries.end());
    return std::string();
  };
  services.workers().ask(
      question, [all, count, &services, id = client.id()](const std::vector<std::string>&) {
        session* const waiting = services.clients().find(id);
        if (waiting == nullptr) return;
        std::sort(all->entries.begin(), all->entries.end(),
                  [](const client::slow_entry& a, const client::slow_entry& b) { return a.id > b.id; });
        if (count >= 0 && all->entries.size() > static_cast<std::size_t>(count)) {
          all->entries.resize(static_cast<std::size_t>(count));
        }
        waiting->complete(outcome::ok, [&](resp::encoder& out) {
          out.array(all->entries.size());
          for (const client::slow_entry& entry : all->entries) write_entry(out, entry);
        });
      });
}

void length(server_services& services, session& client, routed_request& request) {
  client.defer(request);
  services.workers().ask([](colleague& worker) { return std::to_string(worker.slow_log.entries().size()); },
                         [&services, id = client.id()](const std::vector<std::string>& answers) {
                           session* const waiting = services.clients().find(id);
                           if (waiting == nullptr) return;
                           std::int64_t sum = 0;
                           for (const std::string& answer : answers) sum += std::stoll(answer);
                           waiting->complete(outcome::ok, [sum](resp::encoder& out) { out.integer(sum); });
                         });
}

void reset(server_services& services, session& client, routed_request& request) {
  client.defer(request);
  services.workers().ask(
      [](colleague& worker) {
        worker.slow_log.clear();
        return std::string();
      },
      [&services, id = client.id()](const std::vector<std::string>&) {
        session* const waiting = services.clients().find(id);
        if (waiting != nullptr) waiting->complete(outcome::ok, [](resp::encoder& out) { out.status("OK"); });
      });
}

void help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {
      "GET [<count>]",
      "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
      "    Entries are made of:",
      "    id, timestamp, time in microseconds, arguments array, client IP and port,",
      "    client name, time at the bus in microseconds",
      "LEN",
      "    Return the length of the slowlog.",
      "RESET",
      "    Reset the slowlog."};
  answer_help(client, request, "SLOWLOG", lines);
}

constexpr subcommand subcommands[] = {
    {"get", -2, get}, {"help", 2, help}, {"len", 2, length}, {"reset", 2, reset}};

}  // namespace

void run_slowlog(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "slowlog", subcommands);
}

}  // namespace dualbus::handler
