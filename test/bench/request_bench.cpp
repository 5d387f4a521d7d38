#include "fleet_messages.hpp"

#include <dualbus/base/read_buffer.hpp>
#include <dualbus/command/router.hpp>
#include <dualbus/resp/reply_reader.hpp>
#include <dualbus/resp/reply_scanner.hpp>
#include <dualbus/resp/request_parser.hpp>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

namespace dualbus {
namespace {

constexpr int batch = 16;  // requests or replies in one input, as a pipeline brings them

std::uint64_t cycles() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

// Reports per request or reply: "each", its CPU time, and "cycles" of the time-stamp counter, which also runs
// while another process has the processor.
class per_item {
 public:
  explicit per_item(benchmark::State& state) : state_(state), start_(cycles()) {}
  ~per_item() {
    const double items = static_cast<double>(state_.iterations()) * batch;
    state_.counters["each"] =
        benchmark::Counter(items, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state_.counters["cycles"] = static_cast<double>(cycles() - start_) / items;
  }
  per_item(const per_item&) = delete;
  per_item& operator=(const per_item&) = delete;

 private:
  benchmark::State& state_;
  std::uint64_t start_;
};

base::read_buffer filled(const std::string& item) {
  base::read_buffer buffer;
  for (int i = 0; i < batch; ++i) buffer.append(item);
  return buffer;
}

void parse_all(benchmark::State& state, const std::string& request) {
  const base::read_buffer buffer = filled(request);
  resp::request_parser parser;
  const per_item report(state);
  for ([[maybe_unused]] auto _ : state) {
    std::string_view rest = buffer.data();
    while (!rest.empty()) {
      if (parser.parse(rest) != resp::parse_status::complete) std::abort();
      benchmark::DoNotOptimize(parser.args().data());
      rest.remove_prefix(parser.consumed());
      parser.reset();
    }
  }
}

void parse_xadd(benchmark::State& state) {
  parse_all(state, test::encode(test::fleet_xadd("market_data")));
}
BENCHMARK(parse_xadd);

void parse_get(benchmark::State& state) {
  parse_all(state, test::encode({"GET", "key:000000012345"}));
}
BENCHMARK(parse_get);

void parse_set(benchmark::State& state) {
  parse_all(state, test::encode({"SET", "key:000000012345", std::string(300, 'x')}));
}
BENCHMARK(parse_set);

void parse_inline(benchmark::State& state) {
  parse_all(state, "PING\r\n");
}
BENCHMARK(parse_inline);

void scan_all(benchmark::State& state, const std::string& reply) {
  const base::read_buffer buffer = filled(reply);
  resp::reply_scanner scanner;
  const per_item report(state);
  for ([[maybe_unused]] auto _ : state) {
    std::string_view rest = buffer.data();
    while (!rest.empty()) {
      if (scanner.scan(rest) != resp::scan_status::complete) std::abort();
      rest.remove_prefix(scanner.consumed());
      scanner.reset();
    }
  }
}

void scan_id(benchmark::State& state) {
  scan_all(state, "$15\r\n1692629576966-0\r\n");
}
BENCHMARK(scan_id);

void scan_status(benchmark::State& state) {
  scan_all(state, "+OK\r\n");
}
BENCHMARK(scan_status);

void scan_fifty_entries(benchmark::State& state) {
  std::string reply = "*50\r\n";
  const std::vector<std::string> xadd = test::fleet_xadd("market_data");
  const std::vector<std::string> fields(xadd.begin() + 6, xadd.end());
  for (int i = 0; i < 50; ++i) reply += "*2\r\n$15\r\n1692629576966-0\r\n" + test::encode(fields);
  scan_all(state, reply);
}
BENCHMARK(scan_fifty_entries);

// From parsed arguments to the bus.
void plan_all(benchmark::State& state, const std::vector<std::string>& request) {
  const command::routing_table table(test::fleet_rules());
  command::message_counters counters(table.bus_count(), table.rules().max_type_names);
  command::router router(table, counters);
  command::plan plan;
  const base::read_buffer buffer = filled(test::encode(request));
  resp::request_parser parser;
  if (parser.parse(buffer.data()) != resp::parse_status::complete) std::abort();
  const per_item report(state);
  for ([[maybe_unused]] auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      const int found = command::find_command(parser.args()[0]);
      router.make_plan(command::command_table()[static_cast<std::size_t>(found)], parser.args(), plan);
      benchmark::DoNotOptimize(plan.bus);
    }
  }
}

void plan_xadd_by_type(benchmark::State& state) {
  plan_all(state, test::fleet_xadd("market_data"));
}
BENCHMARK(plan_xadd_by_type);

void plan_xadd_by_glob(benchmark::State& state) {
  plan_all(state, test::fleet_xadd("risk_metric"));
}
BENCHMARK(plan_xadd_by_glob);

void plan_xadd_by_json(benchmark::State& state) {
  plan_all(state, test::fleet_xadd("market_data", true));
}
BENCHMARK(plan_xadd_by_json);

void plan_get(benchmark::State& state) {
  plan_all(state, {"GET", "key:000000012345"});
}
BENCHMARK(plan_get);

// The classifier alone, the place of the fields being known.
void classify_xadd(benchmark::State& state) {
  const command::routing_table table(test::fleet_rules());
  command::message_counters counters(table.bus_count(), table.rules().max_type_names);
  command::classifier classifier(table, counters);
  const base::read_buffer buffer = filled(test::encode(test::fleet_xadd("market_data")));
  resp::request_parser parser;
  if (parser.parse(buffer.data()) != resp::parse_status::complete) std::abort();
  const command::xadd_arguments where = command::parse_xadd(parser.args());
  const per_item report(state);
  for ([[maybe_unused]] auto _ : state) {
    for (int i = 0; i < batch; ++i) benchmark::DoNotOptimize(classifier.classify(parser.args(), where).bus);
  }
}
BENCHMARK(classify_xadd);

// Everything between a client's bytes and the decision on the bus.
void parse_and_plan_xadd(benchmark::State& state) {
  const command::routing_table table(test::fleet_rules());
  command::message_counters counters(table.bus_count(), table.rules().max_type_names);
  command::router router(table, counters);
  command::plan plan;
  const base::read_buffer buffer = filled(test::encode(test::fleet_xadd("market_data")));
  resp::request_parser parser;
  const per_item report(state);
  for ([[maybe_unused]] auto _ : state) {
    std::string_view rest = buffer.data();
    while (!rest.empty()) {
      if (parser.parse(rest) != resp::parse_status::complete) std::abort();
      const int found = command::find_command(parser.args()[0]);
      router.make_plan(command::command_table()[static_cast<std::size_t>(found)], parser.args(), plan);
      benchmark::DoNotOptimize(plan.bus);
      rest.remove_prefix(parser.consumed());
      parser.reset();
    }
  }
}
BENCHMARK(parse_and_plan_xadd);

}  // namespace
}  // namespace dualbus
