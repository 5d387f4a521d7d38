#include "subcommands.hpp"

#include <dualbus/base/numbers.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/slow_log.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// SLOWLOG: the daemon's own slow requests, of all workers.
namespace dualbus::session {
namespace {

using metrics::outcome;

// Filled by the workers, one after the other.
struct collection {
  std::mutex mutex;
  std::vector<slow_entry> entries;
};

void write_entry(resp::encoder& out, const slow_entry& entry) {
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

void get(worker_context& context, session& client, const request& what) {
  if (what.args.size() > 3) return refuse_subcommand_syntax(client, what);
  std::int64_t count = 10;
  if (what.args.size() == 3) {
    const auto given = base::parse_int64(what.args[2]);
    if (!given || *given < -1) {
      return client.refuse(what.command, "ERR count should be greater than or equal to -1");
    }
    count = *given;
  }
  client.defer(what.command);
  auto all = std::make_shared<collection>();
  const auto question = [all](worker_context& worker) {
    const std::lock_guard lock(all->mutex);
    const auto& entries = worker.slow->entries();
    all->entries.insert(all->entries.end(), entries.begin(), entries.end());
    return std::string();
  };
  context.ask_all(question, [all, count, &context, id = client.id()](const std::vector<std::string>&) {
    session* const waiting = context.clients.find(id);
    if (waiting == nullptr) return;
    std::sort(all->entries.begin(), all->entries.end(),
              [](const slow_entry& a, const slow_entry& b) { return a.id > b.id; });
    if (count >= 0 && all->entries.size() > static_cast<std::size_t>(count)) {
      all->entries.resize(static_cast<std::size_t>(count));
    }
    waiting->complete(outcome::ok, [&](resp::encoder& out) {
      out.array(all->entries.size());
      for (const slow_entry& entry : all->entries) write_entry(out, entry);
    });
  });
}

void length(worker_context& context, session& client, const request& what) {
  client.defer(what.command);
  context.ask_all([](worker_context& worker) { return std::to_string(worker.slow->entries().size()); },
                  [&context, id = client.id()](const std::vector<std::string>& answers) {
                    session* const waiting = context.clients.find(id);
                    if (waiting == nullptr) return;
                    std::int64_t sum = 0;
                    for (const std::string& answer : answers) sum += std::stoll(answer);
                    waiting->complete(outcome::ok, [sum](resp::encoder& out) { out.integer(sum); });
                  });
}

void reset(worker_context& context, session& client, const request& what) {
  client.defer(what.command);
  context.ask_all(
      [](worker_context& worker) {
        worker.slow->clear();
        return std::string();
      },
      [&context, id = client.id()](const std::vector<std::string>&) {
        session* const waiting = context.clients.find(id);
        if (waiting != nullptr) waiting->complete(outcome::ok, [](resp::encoder& out) { out.status("OK"); });
      });
}

void help(worker_context&, session& client, const request& what) {
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
  answer_help(client, what, "SLOWLOG", lines);
}

constexpr subcommand subcommands[] = {
    {"get", -2, get}, {"help", 2, help}, {"len", 2, length}, {"reset", 2, reset}};

}  // namespace

void run_slowlog(worker_context& context, session& client, const request& what) {
  run_subcommand(context, client, what, "slowlog", subcommands);
}

}  // namespace dualbus::session
