#include "handler/server/info_sections.hpp"

#include <dualbus/command/command_table.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dualbus::handler {
namespace {

std::vector<bus_info> two_buses(std::string first, std::string second) {
  return {bus_info(std::move(first)), bus_info(std::move(second))};
}

void count(daemon_counts& counts, std::string_view command, metrics::outcome kind, std::uint64_t times) {
  counts.commands[static_cast<std::size_t>(command::find_command(command))][static_cast<std::size_t>(kind)] =
      times;
}

TEST(InfoSectionsTest, FieldsThatTheDaemonLacksAreTheBuss) {
  const bus_info bus("# Stats\r\nexpired_keys:3\r\ntotal_forks:1\r\n\r\n# Other\r\nother:1\r\n");
  EXPECT_EQ(completed("# Stats\r\ntotal_forks:9\r\n", "Stats", bus),
            "# Stats\r\ntotal_forks:9\r\nexpired_keys:3\r\n");
}

TEST(InfoSectionsTest, PersistenceIsThatOfTheWorstBus) {
  const auto buses = two_buses(
      "# "
      "Persistence\r\nloading:0\r\nrdb_changes_since_last_save:3\r\nrdb_last_save_time:20\r\nrdb_last_bgsave_"
      "status:err\r\n",
      "# "
      "Persistence\r\nloading:1\r\nrdb_changes_since_last_save:4\r\nrdb_last_save_time:10\r\nrdb_last_bgsave_"
      "status:ok\r\n");
  EXPECT_EQ(persistence_section(buses),
            "# Persistence\r\nloading:1\r\nrdb_changes_since_last_save:7\r\nrdb_last_save_time:10\r\n"
            "rdb_last_bgsave_status:err\r\n");
  EXPECT_EQ(persistence_section(two_buses("# Persistence\r\nloading:1\r\n", "")),
            "# Persistence\r\nloading:1\r\n");
}

TEST(InfoSectionsTest, MemoryIsThatOfTheBusesAndTheDaemonHasNamesOfItsOwn) {
  const daemon_memory own{.resident_bytes = 3 << 20, .peak_bytes = 4 << 20};
  const std::string_view daemons =
      "dualbus_memory_rss:3145728\r\ndualbus_memory_rss_human:3.00M\r\n"
      "dualbus_memory_peak:4194304\r\ndualbus_memory_peak_human:4.00M\r\n";
  const auto buses =
      two_buses("# Memory\r\nused_memory:1024\r\nmaxmemory:2048\r\nmaxmemory_policy:noeviction\r\n",
                "# Memory\r\nused_memory:512\r\nmaxmemory:1024\r\nmaxmemory_policy:allkeys-lru\r\n");
  EXPECT_EQ(memory_section(own, buses),
            "# Memory\r\nused_memory:1536\r\nused_memory_human:1.50K\r\nmaxmemory:3072\r\n"
            "maxmemory_human:3.00K\r\nmaxmemory_policy:allkeys-lru\r\n" +
                std::string(daemons));
  EXPECT_EQ(memory_section(own, two_buses("", "")), "# Memory\r\n" + std::string(daemons));
}

TEST(InfoSectionsTest, ABusThatIsAReplicaMakesAllOfItOne) {
  EXPECT_EQ(replication_section(two_buses("# Replication\r\nrole:master\r\nconnected_slaves:2\r\n",
                                          "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n")),
            "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n");
  EXPECT_EQ(replication_section(two_buses(
                "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n",
                "# Replication\r\nrole:slave\r\nmaster_link_status:down\r\nconnected_slaves:0\r\n")),
            "# Replication\r\nrole:slave\r\nconnected_slaves:0\r\nmaster_link_status:down\r\n");
  EXPECT_EQ(replication_section({}), "# Replication\r\nrole:master\r\n");
}

TEST(InfoSectionsTest, CallsAreTheDaemonsAndTheTimeThatOfAllBuses) {
  daemon_counts counts;
  count(counts, "get", metrics::outcome::ok, 8);
  count(counts, "get", metrics::outcome::redis_error, 2);
  count(counts, "get", metrics::outcome::refused, 5);
  const auto buses = two_buses(
      "# Commandstats\r\ncmdstat_get:calls=99,usec=30,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n"
      "cmdstat_set:calls=7,usec=7,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n",
      "# Commandstats\r\ncmdstat_get:calls=1,usec=20,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n");
  EXPECT_EQ(
      commandstats_section(counts, buses, nullptr),
      "# "
      "Commandstats\r\ncmdstat_get:calls=10,usec=50,usec_per_call=5.00,rejected_calls=5,failed_calls=2\r\n");
}

TEST(InfoSectionsTest, OfALoneBusItsOwnCountsAreShownButNotOfWhatTheDaemonAnswers) {
  daemon_counts counts;
  count(counts, "get", metrics::outcome::ok, 8);
  count(counts, "get", metrics::outcome::refused, 5);
  count(counts, "ping", metrics::outcome::ok, 3);
  const std::vector<bus_info> buses{bus_info(
      "# Commandstats\r\ncmdstat_get:calls=9,usec=18,usec_per_call=2.00,rejected_calls=1,failed_calls=2\r\n"
      "cmdstat_ping:calls=1000,usec=9,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n"
      "cmdstat_config|set:calls=1,usec=4,usec_per_call=4.00,rejected_calls=0,failed_calls=1\r\n")};
  EXPECT_EQ(commandstats_section(counts, buses, &buses[0]),
            "# Commandstats\r\n"
            "cmdstat_config|set:calls=1,usec=4,usec_per_call=4.00,rejected_calls=0,failed_calls=1\r\n"
            "cmdstat_get:calls=9,usec=18,usec_per_call=2.00,rejected_calls=6,failed_calls=2\r\n"
            "cmdstat_ping:calls=3,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0\r\n");
}

TEST(InfoSectionsTest, ErrorsOfBusesAndOfTheDaemonAreAddedUp) {
  daemon_counts counts;
  counts.refusals.add("ERR unknown command 'x'");
  counts.refusals.add("BUSDOWN bus 'marketdata' cannot be reached");
  counts.refusals.add("CROSSBUS x");
  count(counts, "get", metrics::outcome::bus_down, 4);
  const error_totals errors(counts,
                            two_buses("# Errorstats\r\nerrorstat_ERR:count=2\r\n",
                                      "# Errorstats\r\nerrorstat_ERR:count=3\r\nerrorstat_OOM:count=1\r\n"));
  EXPECT_EQ(
      errors.section(),
      "# Errorstats\r\nerrorstat_BUSDOWN:count=4\r\nerrorstat_CROSSBUS:count=1\r\nerrorstat_ERR:count=6\r\n"
      "errorstat_OOM:count=1\r\n");
  EXPECT_EQ(errors.sum(), 12U);
}

TEST(InfoSectionsTest, CountingCanBeginAnew) {
  daemon_counts counts;
  counts.requests = 5;
  counts.clients = 2;
  counts.refusals.add("ERR x");
  count(counts, "get", metrics::outcome::ok, 8);
  counting_start start;
  start.set(counts);
  counts.requests = 7;
  count(counts, "get", metrics::outcome::ok, 9);
  counts.refusals.add("NOPERM x");
  start.apply(counts);
  EXPECT_EQ(counts.requests, 2U);
  EXPECT_EQ(counts.clients, 2U) << "they are still there";
  EXPECT_EQ(
      commandstats_section(counts, {}, nullptr),
      "# Commandstats\r\ncmdstat_get:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0\r\n");
  EXPECT_EQ(error_totals(counts, {}).section(), "# Errorstats\r\nerrorstat_NOPERM:count=1\r\n");
}

TEST(InfoSectionsTest, TheSoftwareOfABusIsWhatItSays) {
  using fields = std::vector<std::pair<std::string, std::string>>;
  const backend::server_identity redis{"redis", "7.0.15"}, valkey{"valkey", "9.1.2"};
  EXPECT_EQ(software_of(redis, {}), (fields{{"redis_version", "7.0.15"}}));
  EXPECT_EQ(software_of(valkey, {}),
            (fields{{"redis_version", "7.2.4"}, {"server_name", "valkey"}, {"valkey_version", "9.1.2"}}));
  EXPECT_EQ(software_of({}, {}), (fields{{"redis_version", ""}})) << "never connected";
  const bus_info info(
      "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n"
      "valkey_release_stage:ga\r\ngcc_version:12.2.0\r\n\r\n# Clients\r\nother_version:1\r\n");
  const fields said = {{"redis_version", "7.2.4"},
                       {"server_name", "valkey"},
                       {"valkey_version", "9.1.2"},
                       {"valkey_release_stage", "ga"}};
  EXPECT_EQ(software_of(valkey, info), said);
  EXPECT_EQ(software_of({"redis", "7.2.4"}, info), said) << "with extended-redis-compatibility";
}

TEST(InfoSectionsTest, ABusHasASectionWithItsNameInEveryField) {
  EXPECT_EQ(
      bus_section(
          "md", bus_info("# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nused_memory:12\r\nodd:1\r\n")),
      "# Bus_md\r\nbus_md_redis_version:7.0.15\r\nbus_md_used_memory:12\r\n");
}

}  // namespace
}  // namespace dualbus::handler
