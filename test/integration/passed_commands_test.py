"""config/plain.yaml passes commands about one server on: what they answer is the Redis's own, whatever it is."""
import unittest

from support.harness import Daemon, free_port
from support.plain_stack import PlainStackTest
from support.servers import wait_for

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

    def test_a_subcommand_with_a_zero_byte_is_always_unknown(self):
        """Redis takes some of them for the name before the zero byte, because it finds them by the hash of all bytes and then
        compares C strings. So they are not passed on: no rule for that subcommand would hold."""
        client, bus = self.connect(), self.connect(self.bus)
        odd = [b"SET\0" + str(number).encode() for number in range(200)]
        self.assertEqual(set(client.pipeline([("CONFIG", name, "maxmemory-samples", 9) for name in odd])),
                         {"ERR unknown subcommand 'SET'. Try CONFIG HELP."})
        self.assertIn("OK", bus.pipeline([("CONFIG", name, "maxmemory-samples", 5) for name in odd]))
        self.assertEqual(client.call("CONFIG", "GET", "maxmemory-samples"), [b"maxmemory-samples", b"5"])
        client.call("MULTI")
        self.assertRegex(client.call("SCRIPT", b"FLUSH\0"), "^ERR unknown subcommand 'FLUSH'")
        self.assertRegex(client.call("EXEC"), "^EXECABORT")
        self.assertRegex(client.call("CONFIG", "SET", b"port\0x", 1), "^NOTSUPPORTED")

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
        self.assertIn("'port' is listen.port in", client.call("CONFIG", "SET", "maxmemory", 1, "port", 1))
        self.assertEqual(client.call("PING"), "PONG")
        self.assertTrue(self.bus.running())

    def run_for_ever(self, *scripts):
        """The connections that run them, when the Redis has become busy with the first."""
        loops = [self.connect() for _ in scripts]
        for loop, script in zip(loops, scripts):
            loop.send(*script)
        client = self.connect()
        wait_for(lambda: str(client.call("PING")).startswith("BUSY "), "the script runs")
        return loops

    def test_others_hear_that_the_server_is_busy_with_a_script(self):
        client, direct = self.connect(), self.connect(self.bus)
        client.call("CONFIG", "SET", "busy-reply-threshold", 1)
        self.addCleanup(direct.call, "CONFIG", "SET", "busy-reply-threshold", 5000)
        client.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() while true do end end)")
        for script, end in ((("EVAL", "while true do end", 0), "SCRIPT"), (("FCALL", "f", 0), "FUNCTION")):
            with self.subTest(script[0]):
                [loop] = self.run_for_ever(script)
                for request in ("PING", "PING x", "GET k", "SET k v", "DBSIZE"):
                    self.assertEqual(client.call_raw(*request.split()), direct.call_raw(*request.split()), request)
                flags = {line.split(b" flags=")[1].split()[0] for line in client.call("CLIENT", "LIST").splitlines()}
                self.assertEqual(flags, {b"N"})
                self.assertEqual(client.call(end, "KILL"), "OK")
                self.assertRegex(loop.read(), "Script killed by user")
                self.assertEqual(client.call("PING"), "PONG")
                self.assertEqual(loop.call("EVAL", "return ARGV[1]", 0, "x"), b"x")

    def test_a_script_is_carried_out_though_its_client_is_gone(self):
        client = self.connect()
        for _ in range(50):
            leaving = self.connect()
            leaving.send("EVAL", "return redis.call('INCR', KEYS[1])", 1, "left")
            leaving.close()
        wait_for(lambda: client.call("GET", "left") == b"50", "all have run")

    def test_scripts_are_part_of_transactions(self):
        client = self.connect()
        for request in (("MULTI",), ("SET", "k", "v"), ("EVAL", "return redis.call('GET', KEYS[1])", 1, "k"), ("EVAL", "return 1", 0)):
            client.call(*request)
        self.assertEqual(client.call("EXEC"), ["OK", b"v", 1])

    def start_narrow(self, **backend):
        config = dict(self.daemon.config, backend={"dedicated_connections": 1, **backend},
                      listen={"address": "127.0.0.1", "port": free_port()}, admin={"address": "127.0.0.1", "port": free_port()})
        daemon = Daemon(self.directory, config, name="narrow").start()
        self.addCleanup(daemon.kill)
        return daemon

    def test_a_script_without_an_answer_holds_no_connection_once_its_client_is_closed(self):
        daemon = self.start_narrow(request_timeout="500ms", reconnect_wait="500ms", health_interval="200ms", health_timeout="2s")
        leaving, client = self.connect(daemon), self.connect(daemon)
        self.assertEqual(leaving.call("EVAL", "return 1", 0), 1)
        number = leaving.call("CLIENT", "ID")
        self.bus.pause()
        try:
            leaving.send("EVAL", "return 1", 0)
            wait_for(lambda: daemon.metrics().value("dualbus_requests_in_flight") >= 1, "it is sent")
            self.assertRegex(client.call("BLPOP", "list", "0.01"), "^ERR dualbus: all 1 connections")
            self.assertEqual(client.call("CLIENT", "KILL", "ID", number), 1)
            wait_for(lambda: str(client.call("BLPOP", "list", "0.01")).startswith("BUS"), "the connection has come back", 20)
        finally:
            self.bus.proceed()
        wait_for(lambda: client.call("EVAL", "return 2", 0) == 2, "scripts run again")
        client.close()
        self.check(daemon)

    def test_scripts_run_without_a_connection_of_their_own_if_there_is_none(self):
        daemon = self.start_narrow()
        waiting, client = self.connect(daemon), self.connect(daemon)
        waiting.send("BLPOP", "list", 0)
        wait_for(lambda: b"blocked_clients:1" in client.call("INFO", "clients"), "one waits")
        self.assertRegex(client.call("BLPOP", "other", 0), "dedicated_connections")
        self.assertEqual(client.pipeline([("SET", "k", "v"), ("EVAL", "return redis.call('GET', KEYS[1])", 1, "k")]), ["OK", b"v"])
        client.call("RPUSH", "list", "x")
        self.assertEqual(waiting.read(), [b"list", b"x"])

    def test_ping_answers_as_ever(self):
        for protocol in (2, 3):
            through, direct = self.connect(protocol=protocol), self.connect(self.bus, protocol)
            for requests in (("PING",), ("PING x",), ("PING x y",), ("MULTI", "PING", "PING x", "EXEC"), ("SUBSCRIBE c", "PING", "PING x")):
                for request in requests:
                    self.assertEqual(through.call_raw(*request.split()), direct.call_raw(*request.split()), requests)

    def test_a_client_is_described_as_by_redis(self):
        for request in ("CLIENT LIST", "CLIENT INFO"):
            found = [dict(field.split(b"=") for field in server.call(*request.split()).split())
                     for server in (self.connect(), self.connect(self.bus))]
            for name in (b"name", b"flags", b"db", b"multi", b"qbuf", b"obl", b"oll", b"omem", b"events", b"cmd", b"user", b"redir", b"resp"):
                self.assertEqual(found[0][name], found[1][name], (request, name))
            self.assertEqual(list(found[0])[:len(found[1])], list(found[1]))


if __name__ == "__main__":
    unittest.main()
