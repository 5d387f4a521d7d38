"""Commands about the server as such: SLOWLOG, MONITOR, CLIENT PAUSE, INFO, ACL and what tools ask. A bare Redis is the oracle."""
import re
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge, running, wait_for


def shape(value):
    """The kind of a reply, with texts and numbers left out."""
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


class ServerCommandsTest(StackTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def compare(self, *requests, protocol=2):
        mine = resp.Connection(self.daemon.address, protocol=protocol)
        theirs = resp.Connection(self.bare.address, protocol=protocol)
        with mine, theirs:
            for request in requests:
                self.assertEqual(mine.call_raw(*request), theirs.call_raw(*request), request)

    # --- the same bytes

    def test_questions_about_a_lone_server(self):
        for protocol in (2, 3):
            self.compare(("ROLE",), ("MODULE", "LIST"), ("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("READONLY",), ("ASKING",), ("LOLWUT",),
                         ("LATENCY", "LATEST"), ("LATENCY", "HISTORY", "command"), ("LATENCY", "RESET"), ("LATENCY", "GRAPH", "x"),
                         ("LATENCY", "nosuch"), ("LATENCY", "HISTORY"), ("MODULE",), ("CONFIG", "SET"), ("CONFIG", "GET"), ("CONFIG", "nosuch"),
                         protocol=protocol)

    def test_client_side_caching_is_off(self):
        for protocol in (2, 3):
            self.compare(("CLIENT", "GETREDIR"), ("CLIENT", "TRACKINGINFO"), ("CLIENT", "CACHING", "YES"), ("CLIENT", "TRACKING", "OFF"),
                         ("CLIENT", "TRACKING", "FOO"), ("CLIENT", "NO-EVICT", "ON"), ("CLIENT", "MAINT_NOTIFICATIONS", "ON"), protocol=protocol)
        self.assertIn("NOTSUPPORTED", self.connect().call("CLIENT", "TRACKING", "ON"))

    def test_acl_of_a_daemon_without_users(self):
        for protocol in (2, 3):
            self.compare(("ACL", "WHOAMI"), ("ACL", "LIST"), ("ACL", "USERS"), ("ACL", "GETUSER", "nosuch"), ("ACL", "CAT"), ("ACL", "CAT", "nosuch"),
                         ("ACL", "CAT", "a", "b"), ("ACL", "GENPASS", "0"), ("ACL", "GENPASS", "x"), ("ACL", "WHOAMI", "x"), ("ACL",), ("ACL", "nosuch"),
                         ("ACL", "DRYRUN", "default", "GET", "k"), ("ACL", "DRYRUN", "nosuch", "GET", "k"), ("ACL", "DRYRUN", "default", "nosuch", "k"),
                         ("ACL", "DRYRUN", "default", "GET"), protocol=protocol)
        client = self.connect()
        self.assertEqual(len(client.call("ACL", "GENPASS")), 64)
        self.assertEqual(len(client.call("ACL", "GENPASS", 10)), 3)
        self.assertIn("auth.users", client.call("ACL", "SETUSER", "x", "on"))
        for category in client.call("ACL", "CAT"):
            bare = {name for name in self.bare.client().acl_cat(category)}
            mine = set(self.client().acl_cat(category))
            self.assertEqual(bare - mine, set(), category)

    def test_wrong_arguments(self):
        self.compare(("SLOWLOG", "GET", "-2"), ("SLOWLOG", "GET", "x"), ("SLOWLOG", "GET", "1", "2"), ("SLOWLOG", "nosuch"), ("SLOWLOG",),
                     ("SLOWLOG", "LEN", "x"), ("CLIENT", "PAUSE", "x"), ("CLIENT", "PAUSE", "-1"), ("CLIENT", "PAUSE", "9223372036854775808"), ("CLIENT", "PAUSE", "1", "FOO"), ("CLIENT", "PAUSE"),
                     ("CLIENT", "UNPAUSE", "x"), ("CLIENT", "UNPAUSE"), ("MONITOR", "x"))

    def test_a_time_beyond_any_clock_is_for_ever(self):
        client = self.connect()
        own = client.call("CLIENT", "ID")
        for number in (10**13, 2**62, 2**63 - 1):
            other = self.connect()
            self.compare(("CLIENT", "PAUSE", number, "WRITE"))
            client.send("SET", "el:k", number)
            wait_for(lambda: " flags=b " in other.call("CLIENT", "LIST", "ID", own).decode(), "it is held back")
            self.assertEqual([other.call("CLIENT", "UNPAUSE"), client.read()], ["OK", "OK"])
            self.bare.client().client_unpause()
            for waits, answer in ((("XREAD", "BLOCK", number, "STREAMS", "s", "$"), None), (("XREAD", "BLOCK", number, "STREAMS", "el:s", "$"), None),
                                  (("WAIT", 5, number), 0), (("BLPOP", "el:none", number // 1000), None)):
                client.send(*waits)
                wait_for(lambda: other.call("CLIENT", "UNBLOCK", own) == 1, f"{waits} waits")
                self.assertEqual(client.read(), answer, waits)

    def test_help_is_a_list_of_lines(self):
        client = self.connect()
        for command in ("ACL", "SLOWLOG", "LATENCY", "CLIENT", "CONFIG", "MODULE"):
            lines = client.call(command, "HELP")
            self.assertEqual(lines[0], f"{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
            self.assertEqual(lines[-2:], ["HELP", "    Prints this help."])

    def test_what_does_not_fit_says_why(self):
        client = self.connect()
        self.assertIn("limits.max_clients", client.call("CONFIG", "SET", "maxclients", "5"))
        self.assertIn("setting of the buses", client.call("CONFIG", "SET", "maxmemory", "5"))
        for command in (("CONFIG", "RESETSTAT"), ("CONFIG", "REWRITE"), ("DEBUG", "SLEEP", "0"), ("SAVE",), ("BGSAVE",), ("SHUTDOWN",),
                        ("REPLICAOF", "NO", "ONE"), ("SLAVEOF", "NO", "ONE"), ("PSYNC", "?", "-1"), ("REPLCONF", "a", "b"), ("MODULE", "LOAD", "x"),
                        ("LATENCY", "HISTOGRAM"), ("MEMORY", "STATS")):
            self.assertRegex(client.call(*command), "^NOTSUPPORTED ", command)
        self.assertEqual(client.call("PING"), "PONG")

    # --- INFO

    @staticmethod
    def sections(text):
        return [line[2:] for line in text.decode().split("\r\n") if line.startswith("# ")]

    def test_info_has_the_sections_of_redis_in_their_order(self):
        mine, theirs = self.connect(), self.connect(to=self.bare)
        for arguments in ((), ("all",), ("everything",), ("default",), ("server", "clients"), ("commandstats",), ("Keyspace",), ("nosuch",),
                          ("cpu", "nosuch")):
            expected = self.sections(theirs.call("INFO", *arguments))
            self.assertEqual([s for s in self.sections(mine.call("INFO", *arguments)) if not s.startswith("Bus")], expected, arguments)

    def test_info_counts_commands_of_all_workers(self):
        client = self.client()
        client.set("k", 1)
        for _ in range(3):
            client.get("k")
        stats = client.info("commandstats")
        self.assertGreaterEqual(stats["cmdstat_get"]["calls"], 3)
        everything = client.info("everything")
        self.assertEqual(everything["redis_version"], self.bare.client().info()["redis_version"])
        self.assertGreater(everything["used_memory_peak"], 0)

    def test_info_tells_of_each_bus(self):
        client = self.client()
        client.set("el:k", "v")
        everything = client.info("everything")
        for name in (MARKETDATA, ENGINE_LOGIC):
            bus = self.client(self.stack.buses[name]).info("everything")
            for field in ("redis_version", "maxmemory_policy", "role", "rdb_last_bgsave_status"):
                self.assertEqual(everything[f"bus_{name}_{field}"], bus[field])
            self.assertGreater(everything[f"bus_{name}_used_memory"], 100_000)
        self.assertGreater(everything["cmdstat_set"]["usec"], 0)
        self.assertGreaterEqual(everything["rdb_changes_since_last_save"], 1)
        client.get("el:k")
        hits = [self.client(bus).info("stats")["keyspace_hits"] for bus in self.stack.buses.values()]
        self.assertEqual(client.info("stats")["keyspace_hits"], sum(hits))

    def test_memory_speaks_of_each_bus(self):
        for protocol in (2, 3):
            client = self.connect(protocol)
            for report, words in (("DOCTOR", b"memory"), ("MALLOC-STATS", b"alloc")):
                parts = re.split(rb"# (marketdata|engine_logic)\n", client.call("MEMORY", report))
                self.assertEqual(sorted(parts[1::2]), [b"engine_logic", b"marketdata"])
                for text in parts[2::2]:
                    self.assertIn(words, text)
            self.assertEqual(client.call("MEMORY", "PURGE"), "OK")
        self.compare(("MEMORY", "NOSUCH"), ("MEMORY",), ("MEMORY", "PURGE", "x"), ("MEMORY", "DOCTOR", "x"), ("MEMORY", "HELP"), ("MEMORY", "USAGE"))

    def test_info_counts_the_errors_of_buses_and_its_own(self):
        client = self.connect()
        def errors():
            lines = client.call("INFO", "errorstats").decode().split("\r\n")
            return {line.split(":count=")[0]: int(line.split("=")[1]) for line in lines if "=" in line}
        before = errors()
        client.call("SET", "el:k", "v")
        client.call("LPUSH", "el:k", "v")   # by the bus
        client.call("MGET")                 # by the daemon
        client.call("BLPOP", "el:k", "md:k", 1)
        after = errors()
        added = {code: count - before.get(code, 0) for code, count in after.items() if count != before.get(code, 0)}
        self.assertEqual(added, {"errorstat_WRONGTYPE": 1, "errorstat_ERR": 1, "errorstat_CROSSBUS": 1})

    def test_what_a_key_is_used_for_is_asked_of_a_bus(self):
        self.compare(("COMMAND", "GETKEYSANDFLAGS", "SET", "k", "v"), ("COMMAND", "GETKEYSANDFLAGS"), ("COMMAND", "GETKEYSANDFLAGS", "NONSENSE", "k"),
                     ("COMMAND", "GETKEYSANDFLAGS", "LMOVE", "a", "b", "LEFT", "LEFT"), ("COMMAND", "HELP"), ("COMMAND", "HELP", "x"))

    def test_info_counts_the_keys_of_all_buses(self):
        client = self.client()
        self.assertEqual(client.info("keyspace"), {})
        for number in range(3):
            client.set(f"md:{number}", 1)
        client.set("el:k", 1, ex=1000)
        client.xadd("s", {"message_type": "market_data"})
        client.xadd("s", {"message_type": "order_request"})
        for sections in ("keyspace", "default", "all"):
            database = client.info(sections)["db0"]
            self.assertEqual((database["keys"], database["expires"]), (6, 1), "as DBSIZE, a stream counts on each bus")
        self.assertEqual(client.dbsize(), 6)
        only = self.client(self.bare)
        only.set("el:k", 1, ex=1000)
        self.assertEqual(set(database), set(only.info("keyspace")["db0"]))

    def test_a_client_that_asks_is_described_as_by_redis(self):
        lines = []
        for server in (self.daemon, self.bare):
            client = self.connect(to=server)
            lines.append([dict(field.split("=", 1) for field in client.call("CLIENT", what).decode().split()) for what in ("INFO", "LIST")])
        for mine, theirs in zip(*lines):
            self.assertEqual([name for name in mine if name in theirs], list(theirs))
            for same in ("flags", "db", "sub", "psub", "ssub", "multi", "qbuf", "obl", "oll", "omem", "events", "cmd", "user", "redir"):
                self.assertEqual(mine[same], theirs[same], same)

    # --- CLIENT PAUSE

    def test_a_pause_holds_requests_back_and_ends(self):
        admin, worker = self.connect(), self.connect()
        self.assertEqual(admin.call("CLIENT", "PAUSE", "60000", "WRITE"), "OK")
        self.assertIsNone(worker.call("GET", "k"))
        worker.send_raw(resp.encode("SET", "k", "1") + resp.encode("GET", "k"))
        wait_for(lambda: b"\r\nblocked_clients:1\r\n" in admin.call("INFO", "clients"), "it is held back")
        self.assertEqual(admin.call("GET", "k"), None)
        self.assertEqual(admin.call("CLIENT", "UNPAUSE"), "OK")
        self.assertEqual([worker.read(), worker.read()], ["OK", b"1"])

    def test_a_pause_of_writes_holds_back_exec_of_writes_only(self):
        admin, reader, writer = self.connect(), self.connect(), self.connect()
        for client, request in ((reader, ("GET", "k")), (writer, ("INCR", "k"))):
            self.assertEqual([client.call("MULTI"), client.call(*request)], ["OK", "QUEUED"])
        admin.call("DEL", "k")
        self.assertEqual(admin.call("CLIENT", "PAUSE", "60000", "WRITE"), "OK")
        self.assertEqual(reader.call("EXEC"), [None])
        writer.send("EXEC")
        wait_for(lambda: b"\r\nblocked_clients:1\r\n" in admin.call("INFO", "clients"), "it is held back")
        self.assertEqual(admin.call("GET", "k"), None)
        self.assertEqual(admin.call("EVAL", "#!lua flags=no-writes\nreturn 5", 0), 5)
        self.assertEqual(admin.call("CLIENT", "UNPAUSE"), "OK")
        self.assertEqual(writer.read(), [1])

    def test_a_pause_of_everything_ends_by_itself(self):
        admin, worker = self.connect(), self.connect()
        self.assertEqual(admin.call("CLIENT", "PAUSE", "150"), "OK")
        worker.socket.settimeout(0.03)
        worker.send("PING")
        with self.assertRaises(TimeoutError):
            worker.read()
        worker.socket.settimeout(20)
        self.assertEqual(worker.read(), "PONG")

    # --- MONITOR

    def test_a_monitor_sees_requests_of_all_clients_as_redis_shows_them(self):
        requests = [("SET", "k", 'a "b"\\\n\r\t\a\b\x01é'), ("get", "k"), ("AUTH", "default", "secret"), ("HELLO", "2", "AUTH", "default", "secret"),
                    ("CONFIG", "GET", "port"), ("CLIENT", "LIST"), ("CLIENT", "ID"), ("PING",)]
        seen = []
        for server in (self.daemon, self.bare):
            monitor, client = self.connect(to=server), self.connect(to=server)
            self.assertEqual(monitor.call("MONITOR"), "OK")
            for request in requests:
                client.call(*request)
            lines = []
            while not lines or not lines[-1].endswith('"PING"'):
                lines.append(monitor.read())
            seen.append([re.sub(r"^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] ", "", line) for line in lines])
            self.assertTrue(all(re.match(r"\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] ", line) for line in lines), lines)
        self.assertEqual(seen[0], seen[1])
        self.assertNotIn("secret", str(seen[0]))

    def test_a_monitor_sees_requests_once_that_wait_for_earlier_replies(self):
        requests = [("SET", "k", 1), ("BLPOP", "none", "0.01"), ("GET", "k"), ("WATCH", "k"), ("GET", "k"), ("MULTI",), ("GET", "k"), ("EXEC",), ("PING",)]
        for server in (self.daemon, self.bare):
            monitor, client = self.connect(to=server), self.connect(to=server)
            monitor.call("MONITOR")
            client.pipeline(requests)
            lines = []
            while not lines or not lines[-1].endswith('"PING"'):
                lines.append(monitor.read())
            self.assertEqual([line.split("] ")[1] for line in lines],
                             [" ".join(f'"{word}"' for word in request) for request in requests], server.name)

    def test_a_monitor_is_shown_no_password_wherever_it_stands(self):
        monitor, client = self.connect(), self.connect()
        monitor.call("MONITOR")
        for request in (("HELLO", 2, "SETNAME", "auth", "AUTH", "default", "secret"), ("HELLO", 2, "AUTH", "default", "secret", "SETNAME", "auth"),
                        ("MIGRATE", "127.0.0.1", 1, "el:k", 0, 10, "AUTH", "secret"),
                        ("MIGRATE", "127.0.0.1", 1, "el:k", 0, 10, "COPY", "AUTH2", "user", "secret"),
                        ("HELLO", 2, b"AUTH\0", "default", "secret"), ("HELLO", "AUTH", "default", "secret"),
                        ("COMMAND", "GETKEYS", "AUTH", "default", "secret"), ("COMMAND", "GETKEYSANDFLAGS", "AUTH", "default", "secret"),
                        ("COMMAND", "GETKEYS", "HELLO", 3, "AUTH", "default", "secret"), ("COMMAND", b"GETKEYS\0", "AUTH", "x", "secret"),
                        ("COMMAND", "GETKEYS", "MIGRATE", "h", 1, "k", 0, 10, b"auth\0x", "secret"), ("PING",)):
            client.call(*request)
        lines = []
        while not lines or not lines[-1].endswith('"PING"'):
            lines.append(monitor.read())
        self.assertNotIn("secret", "\n".join(lines))

    def test_a_monitor_can_go_on_and_stop(self):
        monitor, client = self.connect(), self.connect()
        monitor.call("MONITOR")
        self.assertIn(b"flags=O", client.call("CLIENT", "LIST"))
        self.assertEqual(monitor.call("RESET"), "RESET")
        client.call("PING")
        self.assertEqual(monitor.call("ECHO", "x"), b"x")

    def test_a_flood_is_cut_and_said_so(self):
        monitor, client = self.connect(), self.connect()
        monitor.call("MONITOR")
        # Each byte takes four in a line, so that what one read brings is too much.
        client.pipeline([("ECHO", b"\x01" * 1000)] * 2000)
        client.call("PING")
        left_out = 0
        while True:
            line = monitor.read()
            if match := re.search(r'"(\d+) requests are left out here"', line):
                left_out = int(match.group(1))
                break
        self.assertGreater(left_out, 0)


class SlowLogTest(StackTest):
    config = {"slowlog": {"threshold": "50ms", "max_entries": 3, "arguments": True}, "backend": {"request_timeout": "20s"}}

    def test_a_slow_request_is_kept_with_the_share_of_its_bus(self):
        bare = self.stack.add_redis("bare", "--slowlog-log-slower-than", "0")
        client = self.connect()
        client.call("CLIENT", "SETNAME", "me")
        self.assertEqual(client.call("SLOWLOG", "RESET"), "OK")
        self.assertEqual(client.call("SLOWLOG", "LEN"), 0)
        client.call("GET", "quick")
        bus = self.stack.buses[ENGINE_LOGIC]
        arguments = ["k"] + ["x" * 200] + [str(i) for i in range(40)]
        with running(lambda: bus.client(socket_timeout=20).execute_command("DEBUG", "SLEEP", "0.12")):
            wait_for(lambda: not self.probe(bus), "the bus sleeps", 5)
            client.call("RPUSH", *arguments)
        (entry,) = client.call("SLOWLOG", "GET")
        self.assertEqual(client.call("SLOWLOG", "LEN"), 1)
        self.assertGreaterEqual(entry[2], 50_000)
        self.assertGreater(entry[6], entry[2] * 0.8)
        self.assertLessEqual(entry[6], entry[2])
        self.assertEqual(entry[5], b"me")
        self.assertTrue(entry[4].startswith(b"127.0.0.1:"))
        with bare.connect() as theirs:
            theirs.call("RPUSH", *arguments)
            expected = next(e for e in theirs.call("SLOWLOG", "GET") if e[3][0] == b"RPUSH")
        self.assertEqual(entry[3], expected[3])
        self.assertEqual(shape(entry)[:6], shape(expected))
        self.assertEqual(self.client().slowlog_get()[0]["duration"], entry[2])

    @staticmethod
    def probe(bus):
        try:
            with bus.connect(timeout=0.02) as probe:
                return probe.call("PING") == "PONG"
        except OSError:
            return False

    def test_a_client_that_goes_while_its_requests_wait_disturbs_nobody(self):
        client = self.connect()
        self.stack.marketdata.pause()
        try:
            client.send("GET", "md:x")
            in_flight = self.counted("dualbus_requests_in_flight", bus=MARKETDATA)
            wait_for(lambda: self.daemon.metrics().value("dualbus_requests_in_flight", bus=MARKETDATA) >= 1, "it is in flight")
            for _ in range(10):
                leaving = self.connect()
                with in_flight:
                    leaving.send_raw(resp.encode("GET", "md:y") + resp.encode("BLPOP", b"k" * 2_000_000, 0))
                    wait_for(lambda: in_flight.value >= 1, "its first one is, too")
                leaving.abort()
            client.send("NOSUCH")
        finally:
            self.stack.marketdata.proceed()
        self.assertIsNone(client.read())
        self.assertRegex(client.read(), "^ERR unknown command 'NOSUCH'")

    def test_only_so_many_are_kept_and_without_arguments_the_name_alone(self):
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.daemon.reload(merge(self.stack.config, {"slowlog": {"threshold": "0", "arguments": False}}))
        client = self.connect()
        for _ in range(20):
            client.call("SET", "k", "secret")
        entries = client.call("SLOWLOG", "GET", -1)
        self.assertLessEqual(len(entries), 3 * self.stack.config["workers"])
        self.assertEqual(entries[0][3], [b"set"])
        ids = [entry[0] for entry in entries]
        self.assertEqual(ids, sorted(ids, reverse=True))


if __name__ == "__main__":
    unittest.main()
