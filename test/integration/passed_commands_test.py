"""config/plain.yaml passes commands about one server on: what they answer is the Redis's own, whatever it is."""
import unittest

from plain_stack import PlainStackTest
from servers import wait_for

PASSED = ("SAVE", "LASTSAVE", "SAVE x", "CONFIG SET maxmemory-samples 7", "CONFIG GET maxmemory-samples", "CONFIG GET databases maxclients",
          "CONFIG RESETSTAT", "CONFIG REWRITE", "CONFIG SET nosuch 1", "CONFIG", "CONFIG nosuch", "DEBUG SLEEP 0", "DEBUG JMAP", "DEBUG nosuch",
          "DEBUG SET-ACTIVE-EXPIRE 1", "MIGRATE 127.0.0.1 1 nosuch 0 10", "MIGRATE h 1 k 0", "MEMORY DOCTOR", "MEMORY PURGE", "MEMORY nosuch",
          "MEMORY HELP", "OBJECT HELP", "LATENCY LATEST", "LATENCY RESET", "LATENCY HISTOGRAM nosuch", "LATENCY DOCTOR", "LATENCY GRAPH x",
          "LATENCY HELP", "LOLWUT VERSION 5 1 1 1", "MODULE LIST", "ROLE", "CLUSTER INFO", "CLUSTER nosuch", "PFSELFTEST", "PFDEBUG nosuch k",
          "COMMAND COUNT", "COMMAND INFO get xadd", "COMMAND GETKEYSANDFLAGS SET k v", "COMMAND GETKEYS MSET a b c d", "COMMAND HELP",
          "SLOWLOG RESET", "SLOWLOG LEN", "SLOWLOG GET", "SLOWLOG HELP")
REFUSED = ("SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "SLAVEOF NO ONE", "SYNC", "PSYNC ? -1", "FAILOVER", "REPLCONF a b", "ACL SETUSER x on",
           "MODULE LOAD x", "SCRIPT DEBUG YES", "CONFIG SET requirepass x", "CONFIG SET hz 10 requirepass x", "CONFIG SET port 1", "CONFIG SET bind x")


class PassedCommandsTest(PlainStackTest):
    def test_they_answer_what_the_redis_answers(self):
        for protocol in (2, 3):
            through, direct = self.connect(protocol=protocol), self.connect(self.bus, protocol)
            for request in PASSED:
                self.assertEqual(through.call_raw(*request.split()), direct.call_raw(*request.split()), request)

    def test_they_do_it(self):
        client, bus = self.connect(), self.bus.client()
        self.addCleanup(bus.connection_pool.disconnect)
        self.assertEqual(client.call("CONFIG", "SET", "hz", 20), "OK")
        self.assertEqual(bus.config_get("hz"), {"hz": "20"})
        client.call("SET", "k", "v")
        self.assertEqual(client.call("DEBUG", "RELOAD"), "OK")
        self.assertEqual(client.call("GET", "k"), b"v")
        self.assertRegex(client.call("BGSAVE"), "^Background saving")
        wait_for(lambda: bus.info("persistence")["rdb_bgsave_in_progress"] == 0, "it is saved")
        self.assertRegex(client.call("BGREWRITEAOF"), "^Background append only file rewriting")

    def test_info_speaks_of_the_data_as_the_redis_does(self):
        client, bus = self.connect(), self.connect(self.bus)
        for request in ("SET k v", "GET k", "GET none", "LPUSH k x"):
            client.call(*request.split())
        for section in ("memory", "persistence", "replication", "modules", "keyspace", "latencystats"):
            fields = [{line.split(b":")[0] for line in server.call("INFO", section).split(b"\r\n")} for server in (client, bus)]
            self.assertEqual(fields[0], fields[1], section)
        stats = self.figures(client, "stats")
        self.assertLessEqual(set(self.figures(bus, "stats")), set(stats))
        for name in ("keyspace_hits", "keyspace_misses", "expired_keys", "total_forks"):
            self.assertEqual(stats[name], self.figures(bus, "stats")[name], name)
        self.assertEqual(self.figures(client, "memory")["mem_allocator"], self.figures(bus, "memory")["mem_allocator"])

    def test_counters_begin_anew_with_resetstat(self):
        client = self.connect()
        for request in (("SET", "k", "v"), ("LPUSH", "k", "x"), ("NONSENSE",), ("PING",)):
            client.call(*request)
        self.assertGreaterEqual(self.figures(client, "errorstats")["errorstat_WRONGTYPE"], "count=1")
        self.assertEqual(client.call("CONFIG", "RESETSTAT"), "OK")
        self.assertEqual(self.figures(client, "errorstats"), {})
        for request in (("SET", "k", "v"), ("SET", "k"), ("LPUSH", "k", "x"), ("LPUSH", "k", "x"), ("NONSENSE",), ("PING",)):
            client.call(*request)
        self.assertEqual(self.figures(client, "errorstats"), {"errorstat_ERR": "count=2", "errorstat_WRONGTYPE": "count=2"})
        self.assertEqual(self.figures(client, "stats")["total_error_replies"], "4")
        stats = self.figures(client, "commandstats")
        self.assertRegex(stats["cmdstat_set"], r"calls=1,usec=\d+,.*,rejected_calls=1,failed_calls=0")
        self.assertRegex(stats["cmdstat_lpush"], r"calls=2,usec=\d+,.*,rejected_calls=0,failed_calls=2")
        self.assertRegex(stats["cmdstat_ping"], "calls=1,")
        self.assertRegex(stats["cmdstat_config|resetstat"], "calls=1,")

    def figures(self, client, section):
        return dict(line.split(":", 1) for line in client.call("INFO", section).decode().split("\r\n") if ":" in line)

    def test_in_a_transaction_too(self):
        client, direct = self.connect(), self.connect(self.bus)
        for connection in (client, direct):
            for request, reply in (("MULTI", "OK"), ("LASTSAVE", "QUEUED"), ("CONFIG GET hz", "QUEUED"), ("MEMORY DOCTOR", "QUEUED")):
                self.assertEqual(connection.call(*request.split()), reply)
        self.assertEqual(client.call("EXEC"), direct.call("EXEC"))
        for connection in (client, direct):
            connection.call("MULTI")
        self.assertEqual(client.call("SAVE"), direct.call("SAVE"))

    def test_what_would_take_the_server_away_stays_refused(self):
        client = self.connect()
        for request in REFUSED:
            self.assertRegex(client.call(*request.split()), "^NOTSUPPORTED ", request)
        self.assertEqual(client.call("PING"), "PONG")
        self.assertTrue(self.bus.running())


if __name__ == "__main__":
    unittest.main()
