#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/daemon_counts.hpp>

#include <utility>

namespace dualbus::handler {

daemon_counts::daemon_counts() : commands(command::command_table().size()) {}

void daemon_counts::add(const colleague& worker) {
  const metrics::worker_metrics& m = worker.metrics;
  clients += worker.clients.size();
  worker.clients.for_each([this](const session& s) { blocked += s.blocked() ? 1 : 0; });
  accepted += m.clients_accepted;
  rejected += m.clients_rejected;
  requests += m.requests();
  received += m.received_bytes;
  sent += m.sent_bytes;
  unknown += m.unknown_commands;
  authentication_failures += m.authentication_failures;
  permission_denials += m.permission_denials;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (std::size_t o = 0; o < metrics::outcome_count; ++o) commands[i][o] += m.commands[i][o];
  }
  refusals.add(worker.refusals);
}

daemon_counts::outcomes daemon_counts::all_commands() const {
  outcomes sum{};
  for (const outcomes& one : commands) {
    for (std::size_t o = 0; o < sum.size(); ++o) sum[o] += one[o];
  }
  return sum;
}

void daemon_counts::subtract(const daemon_counts& then) {
  accepted -= then.accepted;
  rejected -= then.rejected;
  requests -= then.requests;
  received -= then.received;
  sent -= then.sent;
  unknown -= then.unknown;
  authentication_failures -= then.authentication_failures;
  permission_denials -= then.permission_denials;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (std::size_t o = 0; o < metrics::outcome_count; ++o) commands[i][o] -= then.commands[i][o];
  }
  refusals.subtract(then.refusals);
}

void collect_counts(colleagues& workers, std::function<void(const daemon_counts&)> done) {
  struct shared {
    std::mutex mutex;
    daemon_counts counts;
  };
  const auto total = std::make_shared<shared>();
  const auto question = [total](colleague& worker) {
    const std::lock_guard lock(total->mutex);
    total->counts.add(worker);
    return std::string();
  };
  workers.ask(question,
              [total, done = std::move(done)](const std::vector<std::string>&) { done(total->counts); });
}

void begin_counting(colleagues& workers, counting_start& start) {
  collect_counts(workers, [&start](const daemon_counts& now) { start.set(now); });
}

void counting_start::set(const daemon_counts& now) {
  const std::lock_guard lock(mutex_);
  then_ = std::make_unique<daemon_counts>(now);
}

void counting_start::apply(daemon_counts& counts) const {
  const std::lock_guard lock(mutex_);
  if (then_) counts.subtract(*then_);
}

}  // namespace dualbus::handler
