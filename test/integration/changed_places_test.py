"""Buses that change at run time: their place (R1), whether they are draining (R3), the anchor (R5). See docs/invariants.md."""
import os
import shutil
import tempfile
import threading
import unittest
from unittest import mock

from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, Redis, free_port, make_config, merge, wait_for
from support.servers import daemon_program


class ChangingTest(unittest.TestCase):
    redis_options = ()

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.marketdata, self.engine_logic = self.redis(MARKETDATA, *self.redis_options), self.redis(ENGINE_LOGIC)
        self.config = make_config({MARKETDATA: self.marketdata.endpoint, ENGINE_LOGIC: self.engine_logic.endpoint})

    def redis(self, name, *options, **more):
        server = Redis(name, self.directory, *options, **more).start()
        self.addCleanup(server.kill)
        return server

    def replica_of(self, server, name):
        replica = self.redis(name, "--replicaof", "127.0.0.1", str(server.port))
        wait_for(lambda: replica.client().info("replication")["master_link_status"] == "up", "the replica has everything")
        return replica

    def start(self, changes=None):
        self.config = merge(self.config, changes or {})
        self.daemon = Daemon(self.directory, self.config)
        self.daemon.start("/readyz?all")
        self.addCleanup(self.daemon.kill)
        self.addCleanup(self.check_end)
        return self.daemon

    def check_end(self):
        wait_for(self.daemon.gauges_are_zero, "gauges at zero")
        self.assertEqual(self.daemon.terminate(), 0)
        self.assertEqual(self.daemon.sanitizer_report(), "")

    def connect(self, **options):
        client = self.daemon.connect(**options)
        self.addCleanup(client.close)
        return client

    def reload(self, changes, accepted=True):
        changed = merge(self.config, changes)
        self.daemon.reload(changed)
        self.assertEqual(self.daemon.metrics().value("dualbus_config_last_reload_successful"), int(accepted), self.daemon.log()[-2000:])
        if accepted:
            self.config = changed

    def move(self, bus, endpoint, **more):
        self.reload({"buses": {bus: {"endpoint": endpoint, **more}}})
        self.daemon.wait_for_log(f"bus '{bus}': is at {endpoint} now")

    def connections(self, server, address):
        """The daemon's connections there, by the address that they came to."""
        with server.client() as client:
            return [each for each in client.client_list() if each["name"].startswith("dualbusd") and each["laddr"].startswith(address)]

    def load(self, number, prefix="md:"):
        """Clients that notice a lost reply, a wrong one, and requests in another order."""
        stop, errors, counts = threading.Event(), [], [0] * number

        def work(client, which):
            while not stop.is_set():
                replies = client.pipeline([("RPUSH", f"{prefix}{which}", "x"), ("LLEN", f"{prefix}{which}"), ("XADD", "t", "*", "message_type", "market_data")] * 10)
                errors.extend(reply for reply in replies if isinstance(reply, str))
                errors.extend(pair for pair in zip(replies[::3], replies[1::3]) if pair[0] != pair[1])
                counts[which] += 10

        threads = [threading.Thread(target=work, args=(self.connect(protocol=2 + which % 2), which), daemon=True) for which in range(number)]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join(60)
            return sum(counts), errors
        self.addCleanup(stop.set)
        return counts, end


class PlacesTest(ChangingTest):
    def test_R1_a_bus_moves_to_another_address_of_its_redis_under_load_and_no_request_fails(self):
        self.start()
        reader, subscriber = self.connect(), self.connect(protocol=3)
        self.assertEqual(reader.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        subscriber.call("SUBSCRIBE", "news")
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")
        tcp, unix = self.marketdata.endpoint, self.marketdata.unix_socket
        counts, end = self.load(4)
        for endpoint, before in ((unix, tcp), (tcp, unix), (unix, tcp)):
            done = sum(counts)
            self.move(MARKETDATA, endpoint)
            wait_for(lambda: not self.connections(self.marketdata, before), f"nobody is connected to {before} any more")
            wait_for(lambda: sum(counts) > done + 100, "requests go on")
        total, errors = end()
        self.assertEqual(errors, [])
        self.assertEqual(self.daemon.metrics().value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 0)
        self.assertEqual(self.marketdata.client().xlen("t"), total)
        self.assertEqual(sum(self.marketdata.client().llen(f"md:{which}") for which in range(4)), total)
        # T2: they were not told, and get what comes.
        with self.daemon.connect() as client:
            client.call("XADD", "s", "*", "message_type", "market_data", "a", "b")
            wait_for(lambda: client.call("PUBLISH", "news", "message") == 1, "the subscriber is heard again")
        self.assertEqual(reader.read()[0][1][0][1], [b"message_type", b"market_data", b"a", b"b"])
        self.assertEqual(subscriber.read(), [b"message", b"news", b"message"])

    def test_R1_another_server_takes_over_and_nothing_learnt_of_the_old_one_counts(self):
        self.start()
        client, reader = self.connect(), self.connect()
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        client.call("XADD", "s", "*", "message_type", "market_data", "n", "1")
        client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        successor = self.replica_of(self.marketdata, "successor")
        successor.client().replicaof("NO", "ONE")
        # T3: all of this is known of the old server, and wrong for the new one.
        for _ in range(3):
            self.assertIsNone(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"))
            self.assertRegex(client.call("XREADGROUP", "GROUP", "late", "c", "STREAMS", "md:s", ">"), "^NOGROUP")
        self.assertIsNone(client.call("GET", "md:k"))
        reader.send("XREAD", "BLOCK", 0, "STREAMS", "md:only-new", 0)
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")
        with successor.client() as there:
            there.xadd("s", {"n": "2"})
            there.xgroup_create("md:s", "late", "0", mkstream=True)
            there.set("md:k", "v")
            there.xadd("md:only-new", {"n": "3"})
        self.move(MARKETDATA, successor.endpoint)
        self.assertEqual(client.call("GET", "md:k"), b"v")
        self.assertEqual(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")[0][1][0][1], [b"n", b"2"])
        self.assertIsNone(client.call("XREADGROUP", "GROUP", "late", "c", "STREAMS", "md:s", ">"))
        self.assertEqual(reader.read()[0][1][0][1], [b"n", b"3"])
        wait_for(lambda: not self.connections(self.marketdata, self.marketdata.endpoint), "nobody is connected to the old one")
        wait_for(lambda: self.daemon.metrics().value("redis_up", bus=MARKETDATA) == 1, "the new one answers INFO")
        self.marketdata.kill()
        self.assertEqual(client.call("SET", "md:k", "w"), "OK")
        self.assertEqual(successor.client().get("md:k"), b"w")
        self.assertEqual(self.daemon.fetch("/readyz?all")[0], 200)

    def test_R1_a_place_that_cannot_be_used_refuses_the_reload_and_everything_goes_on(self):
        self.start({"backend": {"connect_timeout": "500ms"}})
        client = self.connect()
        replica, locked = self.replica_of(self.marketdata, "replica"), self.redis("locked", "--requirepass", "secret", password="secret")
        nobody = f"127.0.0.1:{free_port()}"
        for endpoint, reason in ((nobody, "Connection refused"), (replica.endpoint, "it is a replica, no master"), (locked.endpoint, "NOAUTH"),
                                 (os.path.join(self.directory, "no.sock"), "No such file")):
            with self.subTest(reason):
                # All or nothing: the other change is not made either.
                self.reload({"buses": {MARKETDATA: {"endpoint": endpoint}}, "missing_group": {"action": "create"}}, accepted=False)
                self.daemon.wait_for_log(rf"buses\.{MARKETDATA}: {endpoint} cannot be used: .*{reason}")
                self.assertEqual(client.call("SET", "md:k", endpoint), "OK")
                self.assertRegex(client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "md:s", ">"), "^NOGROUP")
        self.assertEqual(self.marketdata.client().get("md:k"), endpoint.encode())
        self.reload({"missing_group": {"action": "create"}})

    def test_R1_a_bus_that_is_down_moves_and_what_waits_for_it_goes_to_the_new_place(self):
        self.start({"backend": {"reconnect_wait": "1m", "backoff_min": "1m", "backoff_max": "1m"}})
        client = self.connect()
        successor = self.replica_of(self.marketdata, "successor")
        self.marketdata.kill()
        self.daemon.wait_for_log(f"bus '{MARKETDATA}'.*reconnecting")
        client.send("SET", "md:k", "v")
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_waiting", bus=MARKETDATA) == 1, "it waits")
        successor.client().replicaof("NO", "ONE")
        self.move(MARKETDATA, successor.endpoint)
        self.assertEqual(client.read(), "OK")
        self.assertEqual(successor.client().get("md:k"), b"v")

    def test_R1_another_database_is_another_place(self):
        self.start()
        client = self.connect()
        self.assertEqual(client.call("SET", "md:k", "v"), "OK")
        self.reload({"buses": {MARKETDATA: {"database": 3}}})
        self.daemon.wait_for_log(f"bus '{MARKETDATA}': is at .* now")
        self.assertIsNone(client.call("GET", "md:k"))
        self.assertEqual(client.call("SET", "md:k", "w"), "OK")
        self.assertEqual(self.marketdata.client(db=3).get("md:k"), b"w")
        self.assertEqual(self.marketdata.client().get("md:k"), b"v")

    def test_R3_a_bus_drains_and_becomes_active_again(self):
        self.start({"draining": {"interval": "100ms", "quiet": "100ms"}})
        client, reader = self.connect(), self.connect()
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        client.call("XADD", "s", "*", "message_type", "market_data", "n", "1")
        types, keys = self.config["routing"]["types"], self.config["routing"]["keys"]
        for turn in range(2):
            self.reload({"buses": {MARKETDATA: {"state": "draining"}},
                         "routing": {"types": {ENGINE_LOGIC: sum(types.values(), []), MARKETDATA: None}, "keys": [keys[1]]}})
            before = self.marketdata.client().xlen("s")
            client.call("XADD", "s", "*", "message_type", "market_data", "n", "2")
            self.assertEqual(self.marketdata.client().xlen("s"), before)
            while (got := client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")) is not None:
                client.call("XACK", "s", "g", *[entry[0] for entry in got[0][1]])
            reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
            wait_for(lambda: self.daemon.metrics().value("dualbus_bus_drained", bus=MARKETDATA) == 1, "it is drained")
            # The reader waits, and nobody watches the drained bus; then an entry comes there.
            self.reload({"buses": {MARKETDATA: {"state": "active"}}, "routing": {"types": types, "keys": keys}})
            self.assertNotIn('dualbus_bus_drained{', self.daemon.metrics().text)
            client.call("XADD", "s", "*", "message_type", "market_data", "n", str(10 + turn))
            [[_, [[entry, fields]]]] = reader.read()
            self.assertEqual(fields, [b"message_type", b"market_data", b"n", str(10 + turn).encode()])
            self.assertEqual(client.call("XACK", "s", "g", entry), 1)
            self.assertEqual(self.marketdata.client().xlen("s"), before + 1)

    def test_R7_the_log_says_what_a_reload_changes_and_daemons_with_other_rules_have_another_hash(self):
        self.start()
        before = self.hash()
        self.reload({"limits": {"max_clients": 77}, "listen": {"backlog": 511}})
        self.daemon.wait_for_log("limits.max_clients: 10000 -> 77")
        self.assertEqual(self.hash(), before)
        self.reload({"routing": {"types": {MARKETDATA: ["market_data", "order_request"], ENGINE_LOGIC: ["risk_*"]}}})
        self.daemon.wait_for_log("routing.types: removed 'price_update' -> 'marketdata'")
        self.daemon.wait_for_log("routing.types: 'order_request' moved from 'engine_logic' to 'marketdata'")
        self.assertNotEqual(self.hash(), before)

    def hash(self):
        [(labels, value)] = [(labels, value) for name, labels, value in self.daemon.metrics().samples if name == "dualbus_config_info"]
        self.assertEqual(value, 1)
        return labels["hash"]

    def test_R3_neither_the_default_bus_nor_the_anchor_can_drain(self):
        self.start()
        self.reload({"buses": {ENGINE_LOGIC: {"state": "draining"}}}, accepted=False)
        self.daemon.wait_for_log("'engine_logic' is draining, this must be an active bus")

    def test_R5_the_anchor_moves_and_every_group_that_exists_exists_there(self):
        self.start()
        client = self.connect()
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "whole", "0", "MKSTREAM"), "OK")
        for number in range(3):
            client.call("XADD", "s", "*", "message_type", "market_data", "n", str(number))
        client.call("XREADGROUP", "GROUP", "whole", "c", "COUNT", 2, "STREAMS", "s", ">")
        with self.engine_logic.client() as there:  # as a group that is made while the other bus is away
            there.xgroup_create("s", "half", "$")
            there.xgroup_create("el:pinned", "own", "0", mkstream=True)
        with self.marketdata.client() as there:
            there.xgroup_create("s", "stray", "0")
        self.reload({"anchor": MARKETDATA}, accepted=False)
        self.daemon.wait_for_log("anchor: group 'stray' of stream 's' is on bus 'marketdata', but not on the anchor 'engine_logic'")
        with self.marketdata.client() as there:
            there.xgroup_destroy("s", "stray")
            there.xgroup_destroy("s", "half")
        self.reload({"anchor": MARKETDATA})
        self.daemon.wait_for_log("anchor: 1 groups were made on bus 'marketdata'")
        with self.marketdata.client() as there:
            groups = {group["name"]: group["last-delivered-id"] for group in there.xinfo_groups("s")}
            self.assertEqual(set(groups), {b"whole", b"half"})
            self.assertEqual(groups[b"half"], b"0-0")
            self.assertNotEqual(groups[b"whole"], b"0-0", "a position that the new anchor has stays")
            self.assertEqual(there.exists("el:pinned"), 0)
            there.xgroup_destroy("s", "half")
        # The new anchor decides.
        self.assertRegex(client.call("XREADGROUP", "GROUP", "half", "c", "STREAMS", "s", ">"), "^NOGROUP")
        self.assertEqual(client.call("XREADGROUP", "GROUP", "whole", "c", "STREAMS", "s", ">")[0][1][0][1], [b"message_type", b"market_data", b"n", b"2"])

    def test_R5_a_bus_that_has_drained_brings_its_groups_along(self):
        self.start({"buses": {MARKETDATA: {"state": "draining"}}, "routing": {"types": {MARKETDATA: None}},
                    "draining": {"ignore_groups": [{"key": "s", "group": "own"}]}})
        with self.marketdata.client() as there:
            there.xgroup_create("s", "own", "0", mkstream=True)
        self.reload({"buses": {MARKETDATA: {"state": "active"}, ENGINE_LOGIC: {"state": "draining"}}, "anchor": MARKETDATA,
                     "routing": {"default_bus": MARKETDATA, "types": {ENGINE_LOGIC: None}}})
        client = self.connect()
        client.call("XADD", "s", "*", "n", "1")
        self.assertEqual(client.call("XREADGROUP", "GROUP", "own", "c", "STREAMS", "s", ">")[0][1][0][1], [b"n", b"1"])

    def test_R5_a_bus_that_is_away_cannot_become_the_anchor(self):
        self.start({"backend": {"connect_timeout": "500ms"}})
        self.marketdata.kill()
        self.reload({"anchor": MARKETDATA}, accepted=False)
        self.daemon.wait_for_log("anchor: bus 'marketdata' could not be asked for its groups: connect: Connection refused")
        self.marketdata.start()
        self.reload({"anchor": MARKETDATA})


class NameTest(ChangingTest):
    """A name whose address changes, in an /etc/hosts that only the daemon sees."""

    redis_options = ("--bind", "127.0.0.1", "127.0.0.2")

    def write_hosts(self, address):
        with open(os.path.join(self.directory, "hosts"), "w", encoding="utf-8") as file:  # in place: it is mounted
            file.write(f"127.0.0.1 localhost\n{address} bus.test\n")

    def test_a_bus_follows_its_name_under_load_and_no_request_fails(self):
        self.write_hosts("127.0.0.1")
        program = os.path.join(self.directory, "dualbusd")
        with open(program, "w", encoding="utf-8") as file:
            own = "" if os.geteuid() == 0 else "--map-root-user "
            file.write(f"#!/bin/sh\nexec unshare {own}--mount sh -c 'mount --bind {self.directory}/hosts /etc/hosts && exec \"$@\"' sh {daemon_program()} \"$@\"\n")
        os.chmod(program, 0o755)
        with mock.patch.dict(os.environ, DUALBUSD=program):
            self.start({"backend": {"resolve_interval": "50ms"}, "buses": {MARKETDATA: {"endpoint": f"bus.test:{self.marketdata.port}"}}})
        counts, end = self.load(2)
        for address, before in (("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")):
            done = sum(counts)
            self.write_hosts(address)
            self.daemon.wait_for_log(f"bus '{MARKETDATA}': bus.test:{self.marketdata.port} does not lead to {before} any more")
            wait_for(lambda: not [each for each in self.connections(self.marketdata, before) if each["name"] == "dualbusd"], f"the workers have left {before}")
            wait_for(lambda: sum(counts) > done + 100, "requests go on")
        # A name that cannot be resolved says nothing.
        with open(os.path.join(self.directory, "hosts"), "w", encoding="utf-8"):
            pass
        done = sum(counts)
        wait_for(lambda: sum(counts) > done + 1000, "requests go on")
        total, errors = end()
        self.assertEqual(errors, [])
        self.assertEqual(self.daemon.metrics().value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 0)
        self.assertEqual(self.marketdata.client().xlen("t"), total)


if __name__ == "__main__":
    unittest.main()
