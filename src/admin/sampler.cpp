#include "sampler.hpp"

#include "thread_setup.hpp"

#include <dualbus/base/log.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace dualbus::admin {
namespace {

constexpr std::chrono::seconds interval{1};

}  // namespace

console::sample sample_of(const daemon_snapshot& state, base::time_point taken) {
  const metrics::worker_metrics& all = state.totals.metrics;
  console::sample result;
  result.taken = taken;
  result.clients = all.clients;
  result.parked_readers = all.parked_readers;
  result.requests = all.requests();
  std::uint64_t answered_well = 0;
  for (const auto& outcomes : all.commands)
    answered_well += outcomes[static_cast<std::size_t>(metrics::outcome::ok)];
  result.failed = result.requests - std::min(answered_well, result.requests);
  result.buses = all.buses;
  result.types = state.totals.messages;
  result.engines = state.totals.engines;
  return result;
}

sampler::sampler(std::function<daemon_snapshot()> observe, console::history& recent, chart_history& charts)
    : observe_(std::move(observe)), recent_(recent), charts_(charts) {}

sampler::~sampler() {
  stop();
}

void sampler::start() {
  thread_ = start_quiet_thread("sampler", [this] { run(); });
}

void sampler::stop() {
  stop_.raise();
  if (thread_.joinable()) thread_.join();
}

void sampler::run() {
  base::time_point due = base::clock::now();
  do {
    try {
      const daemon_snapshot state = observe_();
      const base::time_point now = base::clock::now();
      recent_.add(sample_of(state, now));
      charts_.add(state, recent_.current(), std::chrono::system_clock::now());
    } catch (const std::exception& e) {
      base::error_limited({}, "admin: no figures for rates and charts: {}", base::in_log(e.what(), 200));
    }
    // After a pause of the whole process, the seconds that are missing are not made up for.
    due = std::max(due + interval, base::clock::now());
  } while (stop_.wait(-1, 0, due) != stop_signal::wake::stopped);
}

}  // namespace dualbus::admin
