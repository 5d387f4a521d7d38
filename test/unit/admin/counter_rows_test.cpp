#include "admin/exporter.hpp"
#include "sample_state.hpp"

#include <dualbus/admin/metrics_reference.hpp>
#include <dualbus/metrics/bus_rows.hpp>
#include <dualbus/metrics/engine_rows.hpp>
#include <dualbus/metrics/worker_rows.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

// The structs of counters are looked at as memory here, so that a field is found that no list knows.
namespace dualbus::admin {
namespace {

using metrics::bus_metrics;
using metrics::engine_counters;
using metrics::worker_metrics;

constexpr std::size_t word_size = sizeof(std::uint32_t);

// The fields of worker_metrics that are plain numbers come before its vectors.
std::size_t plain_words_of_worker() {
  const worker_metrics worker;
  const auto* begin = reinterpret_cast<const unsigned char*>(&worker);
  const auto* end = reinterpret_cast<const unsigned char*>(&worker.commands);
  return static_cast<std::size_t>(end - begin) / word_size;
}

template <typename Owner>
std::uint32_t word_of(const Owner& owner, std::size_t index) {
  std::uint32_t word = 0;
  std::memcpy(&word, reinterpret_cast<const unsigned char*>(&owner) + index * word_size, word_size);
  return word;
}

template <typename Owner>
void set_word(Owner& owner, std::size_t index, std::uint32_t word) {
  std::memcpy(reinterpret_cast<unsigned char*>(&owner) + index * word_size, &word, word_size);
}

template <typename Owner, typename Value>
std::set<std::size_t> words_of(Value Owner::*field) {
  const Owner owner;
  const auto begin = static_cast<std::size_t>(reinterpret_cast<const unsigned char*>(&(owner.*field)) -
                                              reinterpret_cast<const unsigned char*>(&owner));
  std::set<std::size_t> words;
  for (std::size_t byte = begin; byte < begin + sizeof(Value); byte += word_size)
    words.insert(byte / word_size);
  return words;
}

// The words that are not the sum of two workers' after they were added up.
template <typename Owner>
std::set<std::size_t> words_not_summed(std::size_t count) {
  Owner first, second, sum;
  for (std::size_t i = 0; i < count; ++i) {
    set_word(first, i, static_cast<std::uint32_t>(1000 + i));
    set_word(second, i, static_cast<std::uint32_t>(100'000 + 2 * i));
  }
  sum += first;
  sum += second;
  std::set<std::size_t> words;
  for (std::size_t i = 0; i < count; ++i) {
    if (word_of(sum, i) != 101'000 + 3 * i) words.insert(i);
  }
  return words;
}

TEST(CounterRowsTest, EveryFieldOfAnEngineIsSummed) {
  EXPECT_EQ(words_not_summed<engine_counters>(sizeof(engine_counters) / word_size), std::set<std::size_t>{});
}

TEST(CounterRowsTest, EveryFieldOfAWorkerIsSummedButTheLimitsThatAllHaveInCommon) {
  std::set<std::size_t> expected = words_of(&worker_metrics::memory_limit_bytes);
  expected.merge(words_of(&worker_metrics::clients_limit));
  EXPECT_EQ(words_not_summed<worker_metrics>(plain_words_of_worker()), expected);
}

// The number of states is odd, and a word of nothing follows them.
std::set<std::size_t> gap_of_bus() {
  return {*words_of(&bus_metrics::states).rbegin() + 1};
}

TEST(CounterRowsTest, EveryFieldOfABusIsSummedButMomentsOfWhichTheLatestCounts) {
  std::set<std::size_t> expected = words_of(&bus_metrics::last_answer);
  expected.merge(words_of(&bus_metrics::down_since));
  expected.merge(gap_of_bus());
  EXPECT_EQ(words_not_summed<bus_metrics>(sizeof(bus_metrics) / word_size), expected);
}

TEST(CounterRowsTest, CommandsAndBusesAreSummedOneByOne) {
  worker_metrics sum, worker;
  worker.commands[3][1] = 5;
  worker.buses.resize(2);
  worker.buses[1].requests = 7;
  sum += worker;
  worker.buses.resize(3);
  sum += worker;
  EXPECT_EQ(sum.commands[3][1], 10u);
  EXPECT_EQ(sum.commands[1][3], 0u);
  ASSERT_EQ(sum.buses.size(), 3u);
  EXPECT_EQ(sum.buses[1].requests, 14u);
  EXPECT_EQ(sum.buses[0].requests, 0u);
}

TEST(CounterRowsTest, TheLimitOfAllWorkersIsTheLargest) {
  worker_metrics sum, worker;
  worker.memory_limit_bytes = 5;
  sum += worker;
  sum += worker;
  EXPECT_EQ(sum.memory_limit_bytes, 5u);
}

// The page, without the figures of the process, which change by themselves.
std::string page_of(const daemon_snapshot& state) {
  std::ostringstream out;
  std::vector<prometheus::MetricFamily> families = export_metrics(state);
  std::erase_if(families, [](const auto& family) { return family.name.starts_with("process_"); });
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

// The words that change nothing on the page.
template <typename Owner>
std::set<std::size_t> words_not_shown(std::size_t count,
                                      const std::function<Owner&(daemon_snapshot&)>& owner_in) {
  daemon_snapshot state;
  state.configuration = test::sample_configuration();
  state.totals.metrics.buses.resize(2);
  Owner& owner = owner_in(state);
  const std::string before = page_of(state);
  std::set<std::size_t> words;
  for (std::size_t i = 0; i < count; ++i) {
    set_word(owner, i, 3);
    if (page_of(state) == before) words.insert(i);
    set_word(owner, i, 0);
  }
  return words;
}

TEST(CounterRowsTest, EveryFieldOfAnEngineIsShown) {
  EXPECT_EQ(words_not_shown<engine_counters>(
                sizeof(engine_counters) / word_size,
                [](daemon_snapshot& state) -> engine_counters& { return state.totals.engines["risk"]; }),
            std::set<std::size_t>{});
}

TEST(CounterRowsTest, EveryFieldOfAWorkerIsShown) {
  EXPECT_EQ(words_not_shown<worker_metrics>(
                plain_words_of_worker(),
                [](daemon_snapshot& state) -> worker_metrics& { return state.totals.metrics; }),
            std::set<std::size_t>{});
}

// A bus is taken to be disconnected until a worker says something else; some rules never decide on a PUBLISH.
TEST(CounterRowsTest, EveryFieldOfABusIsShown) {
  std::set<std::size_t> expected = gap_of_bus();
  expected.insert(*words_of(&bus_metrics::states).begin() +
                  static_cast<std::size_t>(metrics::bus_state::disconnected));
  for (const command::rule rule : {command::rule::type, command::rule::glob, command::rule::key}) {
    const std::size_t low = *words_of(&bus_metrics::pubsub_published).begin() +
                            static_cast<std::size_t>(rule) * sizeof(std::uint64_t) / word_size;
    expected.merge(std::set<std::size_t>{low, low + 1});
  }
  EXPECT_EQ(words_not_shown<bus_metrics>(
                sizeof(bus_metrics) / word_size,
                [](daemon_snapshot& state) -> bus_metrics& { return state.totals.metrics.buses[1]; }),
            expected);
}

template <typename Value>
void expect_labels_explained(const std::string&, metrics::label_name, metrics::label_name, const Value&) {}

template <typename Value, std::size_t Size>
void expect_labels_explained(const std::string& reference, metrics::label_name label,
                             metrics::label_name inner_label, const std::array<Value, Size>& values) {
  for (std::size_t i = 0; i < Size; ++i) {
    const std::string name(label(i));
    EXPECT_TRUE(name.empty() || reference.find("`" + name + "`") != std::string::npos) << name;
  }
  expect_labels_explained(reference, inner_label, nullptr, values[0]);
}

TEST(CounterRowsTest, TheReferenceExplainsTheLabelsOfEveryRow) {
  const std::string reference = metrics_reference_markdown();
  const auto check = [&]<typename Owner, typename Value, bool Derived>(
                         const metrics::counter_row<Owner, Value, Derived>& row) {
    if (row.label != nullptr) expect_labels_explained(reference, row.label, row.inner_label, Value{});
  };
  metrics::for_each_row(metrics::worker_rows, check);
  metrics::for_each_row(metrics::bus_rows, check);
  metrics::for_each_row(metrics::engine_rows, check);
  for (std::size_t i = 0; i < metrics::bus_state_count; ++i) {
    const std::string name(bus_state_name(static_cast<metrics::bus_state>(i)));
    EXPECT_NE(reference.find("`" + name + "`"), std::string::npos) << name;
  }
  for (std::size_t i = 0; i < metrics::outcome_count; ++i) {
    const std::string name(outcome_name(static_cast<metrics::outcome>(i)));
    EXPECT_NE(reference.find("`" + name + "`"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace dualbus::admin
