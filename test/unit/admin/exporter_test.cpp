#include "admin/exporter.hpp"

#include "admin/metric_table.hpp"
#include "admin/readiness.hpp"
#include "sample_state.hpp"

#include <dualbus/base/version.hpp>
#include <dualbus/config/difference.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace dualbus::admin {
namespace {

using families = std::vector<prometheus::MetricFamily>;
using labels = std::vector<std::pair<std::string, std::string>>;

std::string page(const families& exported) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, exported);
  return out.str();
}

const prometheus::ClientMetric* find(const families& exported, const std::string& name,
                                     const labels& wanted) {
  for (const prometheus::MetricFamily& family : exported) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& row : family.metric) {
      const auto same = [](const auto& label, const auto& pair) {
        return label.name == pair.first && label.value == pair.second;
      };
      if (std::equal(row.label.begin(), row.label.end(), wanted.begin(), wanted.end(), same)) return &row;
    }
  }
  return nullptr;
}

std::optional<double> value(const families& exported, const std::string& name, const labels& wanted = {}) {
  const prometheus::ClientMetric* row = find(exported, name, wanted);
  if (row == nullptr) return {};
  return row->gauge.value != 0 ? row->gauge.value : row->counter.value;
}

// promtool's verdict, empty when it has nothing to say.
std::string promtool_verdict(const families& exported) {
  const test::temporary_directory directory;
  const std::string file = directory.write("metrics", page(exported));
  const test::command_result result = test::run("promtool check metrics < " + file);
  return result.status == 0 && result.output.empty() ? ""
                                                     : std::to_string(result.status) + ": " + result.output;
}

TEST(ExporterTest, AddsUpTheWorkers) {
  const daemon_snapshot state = test::sample_state();
  const families exported = export_metrics(state);
  const labels md = {{"bus", "marketdata"}};
  EXPECT_EQ(value(exported, "dualbus_build_info", {{"version", base::version}}), 1);
  EXPECT_EQ(value(exported, "dualbus_config_info", {{"hash", config::rules_hash(*state.configuration)}}), 1);
  EXPECT_EQ(value(exported, "dualbus_workers"), 2);
  EXPECT_EQ(value(exported, "dualbus_clients"), 42);
  EXPECT_EQ(value(exported, "dualbus_clients_limit"), 100);
  EXPECT_EQ(value(exported, "dualbus_clients_accepted_total"), 44);
  EXPECT_EQ(value(exported, "dualbus_clients_rejected_total"), 4);
  EXPECT_EQ(value(exported, "dualbus_clients_closed_total", {{"reason", "idle"}}), 2);
  EXPECT_EQ(value(exported, "dualbus_clients_closed_total", {{"reason", "killed"}}), 0);
  EXPECT_EQ(value(exported, "dualbus_client_received_bytes_total"), 4200);
  EXPECT_EQ(value(exported, "dualbus_client_sent_bytes_total"), 2100);
  EXPECT_EQ(value(exported, "dualbus_bus_requests_total", md), 42);
  EXPECT_EQ(value(exported, "dualbus_bus_sent_bytes_total", md), 420);
  EXPECT_EQ(value(exported, "dualbus_bus_received_bytes_total", md), 210);
  EXPECT_EQ(value(exported, "dualbus_backend_connections", {{"bus", "marketdata"}, {"state", "up"}}), 2);
  EXPECT_EQ(value(exported, "dualbus_backend_connections", {{"bus", "engine_logic"}, {"state", "up"}}), 0);
  EXPECT_EQ(value(exported, "dualbus_backend_connects_total", md), 6);
  EXPECT_EQ(value(exported, "dualbus_backend_connect_failures_total", md), 8);
  EXPECT_EQ(value(exported, "dualbus_backend_connections_lost_total", md), 4);
  EXPECT_EQ(value(exported, "dualbus_backend_unexpected_replies_total", md), 2);
  EXPECT_EQ(value(exported, "dualbus_requests_waiting", md), 14);
  EXPECT_EQ(value(exported, "dualbus_requests_in_flight", md), 12);
  EXPECT_EQ(value(exported, "dualbus_requests_abandoned", md), 10);
  EXPECT_EQ(value(exported, "dualbus_request_timeouts_total", md), 2);
  EXPECT_EQ(value(exported, "dualbus_latency_target_seconds", md), 0.001);
  EXPECT_EQ(value(exported, "dualbus_latency_target_missed_total", md), 2);
  EXPECT_EQ(value(exported, "dualbus_groups_healed_total", md), 6);
  EXPECT_EQ(value(exported, "dualbus_entries_omitted_total", md), 8);
  EXPECT_EQ(value(exported, "dualbus_elements_lost_total", md), 4);
  EXPECT_EQ(value(exported, "dualbus_unknown_slot_ids_total"), 4);
  EXPECT_EQ(value(exported, "dualbus_config_reloads_total", {{"result", "success"}}), 1);
  EXPECT_EQ(value(exported, "dualbus_config_reloads_total", {{"result", "failure"}}), 2);
  EXPECT_EQ(value(exported, "dualbus_config_last_reload_successful"), 0);
  EXPECT_EQ(value(exported, "dualbus_config_last_reload_success_timestamp_seconds"), 1700000000);
}

TEST(ExporterTest, AddsUpRefusedLoginsAndRequests) {
  daemon_snapshot state = test::sample_state();
  EXPECT_EQ(value(export_metrics(state), "dualbus_authentication_failures_total"), 0);
  EXPECT_EQ(value(export_metrics(state), "dualbus_permission_denials_total"), 0);
  metrics::worker_snapshot one = test::sample_worker(1, ""), other = test::sample_worker(2, "");
  one.metrics.authentication_failures = 3;
  one.metrics.permission_denials = 10;
  one.metrics.strangers = 2;
  other.metrics.strangers = 3;
  one.metrics.logins_delayed = other.metrics.logins_delayed = 6;
  other.metrics.shares_used_up = 7;
  other.metrics.authentication_failures = 4;
  state.totals = add_up({one, other});
  const families exported = export_metrics(state);
  EXPECT_EQ(value(exported, "dualbus_authentication_failures_total"), 7);
  EXPECT_EQ(value(exported, "dualbus_permission_denials_total"), 10);
  EXPECT_EQ(value(exported, "dualbus_clients_not_logged_in"), 5);
  EXPECT_EQ(value(exported, "dualbus_logins_delayed_total"), 12);
  EXPECT_EQ(value(exported, "dualbus_client_shares_used_up_total"), 7);
}

TEST(ExporterTest, AddsUpPubSubOfAllWorkersAndKeepsBusesAndRulesApart) {
  daemon_snapshot state = test::sample_state();
  metrics::worker_snapshot one = test::sample_worker(1, ""), other = test::sample_worker(2, "");
  one.metrics.pubsub_clients = 1;
  one.metrics.pubsub_channels = 2;
  one.metrics.pubsub_patterns = 3;
  one.metrics.pubsub_shard_channels = 4;
  one.metrics.pubsub_deliveries = 5;
  one.metrics.pubsub_cut_off = 6;
  other.metrics = one.metrics;
  one.metrics.buses[0].pubsub_messages = 7;
  one.metrics.buses[0].pubsub_interruptions = 8;
  one.metrics.buses[0].pubsub_unconfirmed = 9;
  one.metrics.buses[1].pubsub_messages = 100;
  one.metrics.buses[0].pubsub_published[static_cast<std::size_t>(command::rule::json)] = 11;
  other.metrics.buses[0].pubsub_published[static_cast<std::size_t>(command::rule::json)] = 12;
  state.totals = add_up({one, other});
  const families exported = export_metrics(state);
  EXPECT_EQ(value(exported, "dualbus_pubsub_clients"), 2);
  EXPECT_EQ(value(exported, "dualbus_pubsub_channels"), 4);
  EXPECT_EQ(value(exported, "dualbus_pubsub_patterns"), 6);
  EXPECT_EQ(value(exported, "dualbus_pubsub_shard_channels"), 8);
  EXPECT_EQ(value(exported, "dualbus_pubsub_deliveries_total"), 10);
  EXPECT_EQ(value(exported, "dualbus_pubsub_clients_cut_off_total"), 12);
  const labels md = {{"bus", "marketdata"}}, el = {{"bus", "engine_logic"}};
  EXPECT_EQ(value(exported, "dualbus_pubsub_messages_total", md), 7);
  EXPECT_EQ(value(exported, "dualbus_pubsub_messages_total", el), 100);
  EXPECT_EQ(value(exported, "dualbus_pubsub_interruptions_total", md), 8);
  EXPECT_EQ(value(exported, "dualbus_pubsub_interruptions_total", el), 0);
  EXPECT_EQ(value(exported, "dualbus_pubsub_unconfirmed_total", md), 9);
  EXPECT_EQ(value(exported, "dualbus_pubsub_published_total", {{"bus", "marketdata"}, {"rule", "json"}}), 23);
  EXPECT_EQ(value(exported, "dualbus_pubsub_published_total", {{"bus", "engine_logic"}, {"rule", "json"}}),
            0);
  EXPECT_EQ(promtool_verdict(exported), "");
}

TEST(ExporterTest, ShowsWhatIsKnownOfDrainingBuses) {
  daemon_snapshot state = test::sample_state();
  const labels bus = {{"bus", "engine_logic"}};
  const std::vector<std::pair<std::string, double>> gauges = {{"dualbus_bus_drained", 0},
                                                              {"dualbus_drain_streams", 2},
                                                              {"dualbus_drain_streams_drained", 1},
                                                              {"dualbus_drain_undelivered_groups", 1},
                                                              {"dualbus_drain_pending_entries", 3},
                                                              {"dualbus_drain_missing_groups", 1},
                                                              {"dualbus_drain_ungrouped_streams", 1},
                                                              {"dualbus_drain_pinned_streams", 1},
                                                              {"dualbus_drain_other_keys", 10}};
  families exported = export_metrics(state);
  for (const auto& [name, expected] : gauges) EXPECT_EQ(value(exported, name, bus), expected) << name;
  EXPECT_EQ(value(exported, "dualbus_drain_healed_groups_total", bus), 4);
  EXPECT_EQ(value(exported, "dualbus_drain_checks_total", bus), 20);
  EXPECT_EQ(value(exported, "dualbus_drain_check_failures_total", bus), 2);
  EXPECT_EQ(value(exported, "dualbus_drain_last_check_timestamp_seconds", bus), 1700000100.5);
  EXPECT_FALSE(value(exported, "dualbus_drain_streams", {{"bus", "marketdata"}})) << "it is active";

  state.draining[0].errors[1] = "connect: Connection refused";
  exported = export_metrics(state);
  for (const auto& [name, expected] : gauges) EXPECT_FALSE(value(exported, name, bus)) << name;
  EXPECT_EQ(value(exported, "dualbus_drain_check_failures_total", bus), 2);
  EXPECT_EQ(value(exported, "dualbus_drain_last_check_timestamp_seconds", bus), 1700000100.5);
}

TEST(ExporterTest, AVerdictThatIsNotKnownIsAbsent) {
  daemon_snapshot state = test::sample_state();
  const labels bus = {{"bus", "engine_logic"}};
  drain_report report{std::chrono::seconds(0)};
  drain_stream stream;
  stream.groups.resize(1);
  report.add(drain_stream(stream));
  state.draining[0].report = std::make_shared<const drain_report>(report);
  EXPECT_EQ(value(export_metrics(state), "dualbus_bus_drained", bus), 1);
  stream.groups[0].unknown_on = {0};
  report.add(std::move(stream));
  state.draining[0].report = std::make_shared<const drain_report>(report);
  EXPECT_FALSE(value(export_metrics(state), "dualbus_bus_drained", bus));
  EXPECT_EQ(value(export_metrics(state), "dualbus_drain_streams", bus), 2);
}

TEST(ExporterTest, OfCommandsThatCameAllOutcomesAreThereAndOfTheOthersNone) {
  const families exported = export_metrics(test::sample_state());
  EXPECT_EQ(value(exported, "dualbus_requests_total", {{"cmd", "xadd"}, {"outcome", "ok"}}), 42);
  EXPECT_EQ(value(exported, "dualbus_requests_total", {{"cmd", "xadd"}, {"outcome", "bus_lost"}}), 2);
  EXPECT_EQ(value(exported, "dualbus_requests_total", {{"cmd", "xadd"}, {"outcome", "bus_timeout"}}), 0);
  EXPECT_EQ(value(exported, "dualbus_requests_total", {{"cmd", "unknown"}, {"outcome", "refused"}}), 2);
  const auto family = std::find_if(exported.begin(), exported.end(),
                                   [](const auto& f) { return f.name == "dualbus_requests_total"; });
  EXPECT_EQ(family->metric.size(), metrics::outcome_count + 1);
}

// increase() of a series that begins with its first event does not see that event.
TEST(ExporterTest, WhatAnAlertMayWaitForIsThereBeforeItHappens) {
  daemon_snapshot state = test::sample_state();
  state.totals = {};
  auto configuration = test::sample_configuration();
  configuration->routing.types = {{"price_update", 0}, {"order_request", 1}, {"risk_*", 1}};
  state.configuration = configuration;
  const families exported = export_metrics(state);
  for (std::size_t o = 0; o < metrics::outcome_count; ++o) {
    const std::string outcome(metrics::outcome_name(static_cast<metrics::outcome>(o)));
    EXPECT_EQ(value(exported, "dualbus_request_outcomes_total", {{"outcome", outcome}}), 0) << outcome;
  }
  EXPECT_EQ(value(exported, "dualbus_requests_total", {{"cmd", "unknown"}, {"outcome", "refused"}}), 0);
  const auto routed = [&](const std::string& bus, const std::string& type) {
    return value(exported, "dualbus_messages_routed_total",
                 {{"bus", bus}, {"rule", "type"}, {"message_type", type}});
  };
  EXPECT_EQ(routed("marketdata", "price_update"), 0);
  EXPECT_EQ(routed("engine_logic", "order_request"), 0);
  EXPECT_FALSE(routed("engine_logic", "risk_*"));
  EXPECT_EQ(value(exported, "redis_errors_total", {{"bus", "marketdata"}, {"err", "OOM"}}), 0);
  EXPECT_EQ(value(exported, "redis_errors_total", {{"bus", "marketdata"}, {"err", "NOGROUP"}}), 1);
  EXPECT_EQ(promtool_verdict(exported), "");
}

TEST(ExporterTest, OutcomesOfAllCommandsAreAddedUp) {
  const families exported = export_metrics(test::sample_state());
  EXPECT_EQ(value(exported, "dualbus_request_outcomes_total", {{"outcome", "ok"}}), 42);
  EXPECT_EQ(value(exported, "dualbus_request_outcomes_total", {{"outcome", "bus_lost"}}), 2);
  EXPECT_EQ(value(exported, "dualbus_request_outcomes_total", {{"outcome", "refused"}}), 2) << "unknown ones";
}

TEST(ExporterTest, ARedisThatCountsNoErrorsAnyMoreHasNoZeros) {
  daemon_snapshot state = test::sample_state();
  state.buses[0].info->errors = {{"ERRORSTATS_DISABLED", 1}};
  const families exported = export_metrics(state);
  EXPECT_FALSE(value(exported, "redis_errors_total", {{"bus", "marketdata"}, {"err", "OOM"}}));
}

TEST(ExporterTest, HistogramBucketsAreCumulative) {
  const families exported = export_metrics(test::sample_state());
  const prometheus::ClientMetric* row =
      find(exported, "dualbus_request_bus_duration_seconds", {{"bus", "marketdata"}});
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->histogram.sample_count, 6u);
  EXPECT_NEAR(row->histogram.sample_sum, 2 * (30e-6 + 1500e-6 + 9), 1e-9);
  const auto& buckets = row->histogram.bucket;
  ASSERT_EQ(buckets.size(), metrics::histogram::bounds_ns.size() + 1);
  const auto at = [&](double bound) {
    return std::find_if(buckets.begin(), buckets.end(), [&](const auto& b) { return b.upper_bound >= bound; })
        ->cumulative_count;
  };
  EXPECT_EQ(at(10e-6), 0u);
  EXPECT_EQ(at(50e-6), 2u);
  EXPECT_EQ(at(1e-3), 2u);
  EXPECT_EQ(at(2e-3), 4u);
  EXPECT_EQ(at(5), 4u);
  EXPECT_TRUE(std::isinf(buckets.back().upper_bound));
  EXPECT_EQ(buckets.back().cumulative_count, 6u);
}

TEST(ExporterTest, ShowsRedisUnderTheNamesOfItsExporter) {
  const families exported = export_metrics(test::sample_state());
  const labels bus = {{"bus", "engine_logic"}};
  EXPECT_EQ(value(exported, "redis_up", bus), 1);
  EXPECT_EQ(value(exported, "redis_cpu_ratio", bus), 0.25);
  EXPECT_EQ(value(exported, "redis_cpu_sys_seconds_total", bus), 0.006532);
  EXPECT_EQ(value(exported, "redis_connected_clients", bus), 1);
  EXPECT_EQ(value(exported, "redis_max_clients", bus), 10000);
  EXPECT_EQ(value(exported, "redis_total_system_memory_bytes", bus), 25'274'793'984);
  EXPECT_EQ(value(exported, "redis_connected_slaves", bus), 0);
  EXPECT_EQ(value(exported, "redis_aof_last_bgrewrite_status", bus), 1);
  EXPECT_EQ(value(exported, "redis_commands_total", {bus[0], {"cmd", "xreadgroup"}}), 2);
  EXPECT_EQ(value(exported, "redis_commands_failed_calls_total", {bus[0], {"cmd", "xreadgroup"}}), 1);
  EXPECT_EQ(value(exported, "redis_commands_rejected_calls_total", {bus[0], {"cmd", "get"}}), 1);
  EXPECT_EQ(value(exported, "redis_commands_duration_seconds_total", {bus[0], {"cmd", "xgroup|create"}}),
            9e-6);
  EXPECT_EQ(value(exported, "redis_errors_total", {bus[0], {"err", "NOGROUP"}}), 1);
  EXPECT_EQ(value(exported, "redis_db_keys", {bus[0], {"db", "db0"}}), 3);
  EXPECT_EQ(value(exported, "redis_instance_info",
                  {bus[0],
                   {"redis_version", "7.0.15"},
                   {"valkey_version", ""},
                   {"redis_mode", "standalone"},
                   {"role", "master"},
                   {"maxmemory_policy", "allkeys-lru"}}),
            1);
  EXPECT_EQ(value(exported, "dualbus_bus_evicts_streams", bus), 1);
}

// What one target of redis_exporter shows; nothing of it names the bus.
TEST(ExporterTest, ShowsOneRedisByItself) {
  daemon_snapshot state = test::sample_state();
  state.buses[1].info->connected_clients = 7;
  std::set<std::string> of_redis, shown;
  for (const prometheus::MetricFamily& family : export_metrics(state)) {
    if (family.name.starts_with("redis_")) of_redis.insert(family.name);
  }
  const families exported = export_redis_metrics(state, 1);
  for (const prometheus::MetricFamily& family : exported) {
    shown.insert(family.name);
    for (const prometheus::ClientMetric& row : family.metric) {
      for (const auto& label : row.label) EXPECT_NE(label.name, "bus") << family.name;
    }
  }
  EXPECT_EQ(shown, of_redis);
  EXPECT_EQ(value(exported, "redis_connected_clients"), 7);
  EXPECT_EQ(value(exported, "redis_commands_total", {{"cmd", "xreadgroup"}}), 2);
  EXPECT_EQ(promtool_verdict(exported), "");
  state.buses[1].up = false;
  EXPECT_EQ(page(export_redis_metrics(state, 1)).find("redis_connected_clients"), std::string::npos);
  EXPECT_EQ(value(export_redis_metrics(state, 1), "redis_up"), 0);
}

TEST(ExporterTest, TellsWhetherTheDaemonIsReady) {
  daemon_snapshot state = test::sample_state();
  EXPECT_EQ(value(export_metrics(state), "dualbus_ready"), is_ready(state) ? 1 : 0);
  state.buses[1].info->run_id = std::string(40, 'a');  // until now, both buses are the captured Redis
  ASSERT_TRUE(is_ready(state));
  EXPECT_EQ(value(export_metrics(state), "dualbus_ready"), 1);
  state.phase = daemon_phase::draining;
  EXPECT_EQ(value(export_metrics(state), "dualbus_ready"), 0);
}

TEST(ExporterTest, HidesTheOldFiguresOfARedisThatIsDown) {
  daemon_snapshot state = test::sample_state();
  state.buses[0].up = false;
  const families exported = export_metrics(state);
  EXPECT_EQ(value(exported, "redis_up", {{"bus", "marketdata"}}), 0);
  EXPECT_FALSE(value(exported, "redis_connected_clients", {{"bus", "marketdata"}}));
  EXPECT_FALSE(value(exported, "redis_cpu_ratio", {{"bus", "marketdata"}}));
  EXPECT_EQ(value(exported, "dualbus_bus_evicts_streams", {{"bus", "marketdata"}}), 1)
      << "a setting, not a figure";
  EXPECT_EQ(value(exported, "redis_up", {{"bus", "engine_logic"}}), 1);
}

TEST(ExporterTest, HasNoLatencyTargetWhereNoneIsSet) {
  daemon_snapshot state = test::sample_state();
  auto configuration = test::sample_configuration();
  configuration->buses[0].latency_target = {};
  state.configuration = configuration;
  EXPECT_FALSE(value(export_metrics(state), "dualbus_latency_target_seconds", {{"bus", "marketdata"}}));
}

TEST(ExporterTest, CountsMessagesByBusRuleAndType) {
  daemon_snapshot state = test::sample_state();
  state.totals =
      add_up({test::sample_worker(1, ""), test::sample_worker(2, "none"), test::sample_worker(4, "other")});
  const families exported = export_metrics(state);
  const auto routed = [&](const std::string& type) {
    return value(exported, "dualbus_messages_routed_total",
                 {{"bus", "marketdata"}, {"rule", "type"}, {"message_type", type}});
  };
  EXPECT_EQ(routed("none"), 3);
  EXPECT_EQ(routed("other"), 4);
}

// Types are any bytes that clients send. Prometheus refuses a whole page for one bad label or a series twice.
TEST(ExporterTest, MessageTypesOfAnyBytesKeepThePageValid) {
  daemon_snapshot state = test::sample_state();
  std::vector<metrics::worker_snapshot> workers;
  for (const std::string& type :
       {std::string("a\0b", 3), std::string("a\\x00b"), std::string("\xff\xfe"), std::string("\"} 1\n#"),
        std::string("back\\slash"), std::string(1000, 'x'), std::string(1001, 'x'), std::string("価格")}) {
    workers.push_back(test::sample_worker(1, type));
  }
  state.totals = add_up(workers);
  const families exported = export_metrics(state);
  EXPECT_EQ(promtool_verdict(exported), "");
  const labels shared = {
      {"bus", "marketdata"}, {"rule", "type"}, {"message_type", std::string(125, 'x') + "..."}};
  EXPECT_EQ(value(exported, "dualbus_messages_routed_total", shared), 2);
}

TEST(ExporterTest, AddsUpEnginesAndLeavesOutThoseOfWhichThereIsNothingToTell) {
  const families exported = export_metrics(test::sample_state());
  const labels risk = {{"engine", "risk"}};
  EXPECT_EQ(value(exported, "dualbus_engine_connections", risk), 2);
  EXPECT_EQ(value(exported, "dualbus_engine_commands_total", risk), 420);
  EXPECT_EQ(value(exported, "dualbus_engine_failed_commands_total", risk), 42);
  EXPECT_EQ(value(exported, "dualbus_engine_messages_published_total", risk), 126);
  EXPECT_EQ(value(exported, "dualbus_engine_messages_consumed_total", risk), 84);
  EXPECT_EQ(value(exported, "dualbus_engine_polls_absorbed_total", risk), 168);
  EXPECT_EQ(value(exported, "dualbus_engine_backend_seconds_total", risk), 0.21);
  EXPECT_EQ(value(exported, "dualbus_engine_connections", {{"engine", "unknown"}}), 42);
  EXPECT_FALSE(value(exported, "dualbus_engine_connections", {{"engine", "other"}}));
}

// Engines' names are such bytes, too; two names that look alike on the page are one row.
TEST(ExporterTest, EngineNamesOfAnyBytesKeepThePageValid) {
  daemon_snapshot state = test::sample_state();
  metrics::worker_snapshot worker = test::sample_worker(1, "price_update");
  for (const std::string& name : {std::string("a\0b", 3), std::string("a\\x00b"), std::string("\xff\xfe"),
                                  std::string("\"} 1\n#"), std::string("back\\slash"), std::string("価格")}) {
    worker.engines[name].commands = 1;
  }
  state.totals = add_up({worker, worker});
  const families exported = export_metrics(state);
  EXPECT_EQ(promtool_verdict(exported), "");
  EXPECT_EQ(value(exported, "dualbus_engine_commands_total", {{"engine", "a\\x00b"}}), 4);
  EXPECT_EQ(value(exported, "dualbus_engine_commands_total", {{"engine", "\"} 1\\x0a#"}}), 2);
}

TEST(ExporterTest, SurvivesWorkersThatKnowOtherBusesThanTheConfiguration) {
  daemon_snapshot state = test::sample_state();
  metrics::worker_snapshot more = test::sample_worker(1, "price_update"), fewer;
  more.metrics.buses.resize(5);
  more.messages["price_update"].resize(5);
  more.messages["price_update"][4][0] = 9;
  state.totals = add_up({fewer, more});
  state.buses.clear();
  const families exported = export_metrics(state);
  EXPECT_EQ(value(exported, "dualbus_bus_requests_total", {{"bus", "marketdata"}}), 1);
  EXPECT_EQ(value(exported, "redis_up", {{"bus", "marketdata"}}), 0);
  EXPECT_EQ(promtool_verdict(exported), "");
}

TEST(ExporterTest, PromtoolHasNothingToSay) {
  EXPECT_EQ(promtool_verdict(export_metrics(test::sample_state())), "");
}

TEST(ExporterTest, PromtoolHasNothingToSayWithoutWorkersAndRedis) {
  daemon_snapshot state;
  state.configuration = test::sample_configuration();
  EXPECT_EQ(promtool_verdict(export_metrics(state)), "");
}

TEST(ExporterTest, ShowsEveryMetricOfTheTableAndNoOther) {
  std::set<std::string> described, exported;
  for (const metrics::metric_description& description : metric_table()) described.emplace(description.name);
  for (const prometheus::MetricFamily& family : export_metrics(test::sample_state())) {
    EXPECT_FALSE(family.help.empty()) << family.name;
    exported.insert(family.name);
  }
  EXPECT_EQ(exported, described);
  EXPECT_EQ(described.size(), metric_table().size()) << "a name stands in the table twice";
}

TEST(ExporterTest, MeasuresItsOwnProcess) {
  const families exported = export_metrics(test::sample_state());
  EXPECT_GT(value(exported, "process_cpu_seconds_total"), 0);
  EXPECT_GT(value(exported, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(value(exported, "process_open_fds"), 2);
  EXPECT_GT(value(exported, "process_max_fds"), 2);
  const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_NEAR(value(exported, "process_start_time_seconds").value_or(0), now, 600);
}

TEST(ExporterTest, AsksWhenItCollects) {
  int asked = 0;
  const exporter subject([&] {
    ++asked;
    return test::sample_state();
  });
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(value(subject.Collect(), "dualbus_clients"), 42);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace dualbus::admin
