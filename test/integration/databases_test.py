"""SELECT: several databases, each on every bus."""
import shutil
import tempfile
import unittest

import yaml

from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, StackTest, free_port, merge, wait_for
from support.plain_stack import PlainStackTest
from support.resp import encode

FIRST = 2  # the bus's number of the clients' database 0


class DatabasesTest(StackTest):
    config = {"databases": 4, "flush": "allowed", "buses": {MARKETDATA: {"database": FIRST}},
              "routing": {"keys": [{"match": "md:*", "bus": MARKETDATA}]}}

    def of_bus(self, name, database):
        return self.client(self.stack.buses[name], db=database)

    def test_each_database_has_keys_of_its_own_and_requests_keep_their_order(self):
        client = self.connect()
        requests = []
        for database in range(4):
            requests += [("SELECT", database), ("SET", "key", database), ("MSET", "md:key", database, "other", "x")]
        for database in range(4):
            requests += [("SELECT", database), ("MGET", "md:key", "key"), ("DBSIZE",)]
        client.send_raw(b"".join(encode(*request) for request in requests))
        replies = [client.read() for _ in requests]
        self.assertEqual(replies[:12], ["OK"] * 12)
        for database in range(4):
            self.assertEqual(replies[12 + 3 * database:15 + 3 * database], ["OK", [b"%d" % database] * 2, 3])
            self.assertEqual(self.of_bus(MARKETDATA, FIRST + database).keys(), [b"md:key"])
            self.assertEqual(sorted(self.of_bus(ENGINE_LOGIC, database).keys()), [b"key", b"other"])
        self.assertEqual(client.call("FLUSHDB"), "OK")
        self.assertEqual(client.call("DBSIZE"), 0)
        self.assertEqual(client.call("SELECT", 2), "OK")
        self.assertEqual(sorted(client.call("KEYS", "*")), [b"key", b"md:key", b"other"])

    def test_the_database_is_the_clients_own(self):
        client, other = self.connect(3), self.connect()
        self.assertEqual(client.call("SELECT", 3), "OK")
        client.call("SET", "key", "three")
        self.assertEqual(other.call("GET", "key"), None)
        self.assertIn(b" db=3 ", client.call("CLIENT", "INFO"))
        self.assertIn(b" db=0 ", other.call("CLIENT", "INFO"))
        self.assertEqual(client.call("CONFIG", "GET", "databases"), {b"databases": b"4"})
        for wrong in (4, -1, 2**40):
            self.assertEqual(client.call("SELECT", wrong), "ERR DB index is out of range")
        self.assertEqual(client.call("SELECT", "three"), "ERR value is not an integer or out of range")
        self.assertEqual(client.call("GET", "key"), b"three")
        self.assertEqual(client.call("RESET"), "RESET")
        self.assertEqual(client.call("GET", "key"), None)

    def test_a_stream_in_another_database_is_on_one_bus_with_its_own_ids(self):
        client = self.connect()
        client.call("SELECT", 1)
        for kind in ("market_data", "order_request"):
            self.assertEqual(client.call("XADD", "s", "5-*", "message_type", kind)[:2], b"5-")
        self.assertEqual(client.call("XADD", "s", "6-1", "message_type", "market_data"), b"6-1")
        self.assertEqual(self.of_bus(ENGINE_LOGIC, 1).xlen("s"), 3)
        self.assertEqual(self.of_bus(MARKETDATA, FIRST + 1).keys(), [])
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "6-1"), "OK")
        read = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 20_000, "STREAMS", "s", ">")
        client.send_raw(encode(*read))
        other = self.connect()
        wait_for(lambda: b"flags=b" in other.call("CLIENT", "LIST"), "the reader waits")
        other.call("XADD", "s", "*", "message_type", "order_request")  # the same name in database 0
        self.of_bus(ENGINE_LOGIC, 1).xadd("s", {"message_type": "x"}, id="7-7")
        self.assertEqual(client.read(), [[b"s", [[b"7-7", [b"message_type", b"x"]]]]])
        self.assertEqual(client.call("XREAD", "BLOCK", 10, "STREAMS", "s", "$"), None)
        self.assertEqual(client.call("XREAD", "COUNT", 1, "STREAMS", "s", "0")[0][1][0][0], b"5-0")

    def test_a_blocking_pop_waits_in_its_database(self):
        client, other = self.connect(), self.connect()
        client.call("SELECT", 2)
        client.send_raw(encode("BLPOP", "list", 20))
        wait_for(lambda: b"flags=b" in other.call("CLIENT", "LIST"), "it waits")
        other.call("RPUSH", "list", "zero")
        other.call("SELECT", 2)
        other.call("RPUSH", "list", "two")
        self.assertEqual(client.read(), [b"list", b"two"])

    def test_a_waiting_read_is_known_by_its_options_whatever_group_and_consumer_are_called(self):
        self.addCleanup(self.daemon.reload, self.daemon.config)
        self.daemon.reload(merge(self.daemon.config, {"backend": {"request_timeout": "300ms"}}))
        client, other = self.connect(), self.connect()
        for connection in (client, other):
            connection.call("SELECT", 1)
        for group, consumer in (("block", "5"), ("BLOCK", "0"), ("g", "block")):
            self.assertEqual(client.call("XGROUP", "CREATE", "s", group, "$", "MKSTREAM"), "OK")
            client.send_raw(encode("XREADGROUP", "GROUP", group, consumer, "BLOCK", 0, "STREAMS", "s", ">"))
            wait_for(lambda: b"flags=b" in other.call("CLIENT", "LIST"), "it waits")
            # Twice request_timeout, as Redis counts it.
            self.assertIsNone(other.call("BLPOP", "none", "0.6"))
            entry = other.call("XADD", "s", "*", "a", "b")
            self.assertEqual(client.read(), [[b"s", [[entry, [b"a", b"b"]]]]])
        # Without BLOCK nothing waits.
        self.assertEqual(client.call("XGROUP", "SETID", "s", "block", "$"), "OK")
        self.assertIsNone(client.call("XREADGROUP", "GROUP", "block", "0", "STREAMS", "s", ">"))

    def test_transactions_stay_in_their_database(self):
        client, other = self.connect(), self.connect()
        client.call("SELECT", 1)
        for keys in (("a", "b"), ("a", "md:b")):
            self.assertEqual(client.call("MULTI"), "OK")
            for key in keys:
                self.assertEqual(client.call("INCR", key), "QUEUED")
            self.assertEqual(client.call("SELECT", 1), "QUEUED")
            self.assertEqual(client.call("EXEC")[1:], [1, "OK"])
        self.assertEqual(other.call("MGET", "a", "md:b"), [None, None])
        self.assertEqual(self.of_bus(MARKETDATA, FIRST + 1).get("md:b"), b"1")

        client.call("WATCH", "a")
        self.of_bus(ENGINE_LOGIC, 1).set("a", 7)
        client.call("MULTI")
        client.call("GET", "a")
        self.assertEqual(client.call("EXEC"), None)

    def run_transaction(self, client, *requests):
        replies = [client.call("MULTI"), *(client.call(*request) for request in requests)]
        self.assertEqual(replies, ["OK"] + ["QUEUED"] * len(requests))
        return client.call("EXEC")

    def test_a_transaction_goes_through_several_databases(self):
        for protocol in (2, 3):
            client = self.connect(protocol)
            client.call("FLUSHALL")
            select = [("SELECT", number) for number in range(4)]
            self.assertEqual(self.run_transaction(
                client, ("SET", "md:k", "0"), select[1], ("SET", "md:k", "1"), ("SET", "k", "1"), select[3],
                ("SET", "k", "3"), select[1], ("APPEND", "md:k", "+"), ("MGET", "k", "md:k")),
                ["OK", "OK", "OK", "OK", "OK", "OK", "OK", 2, [b"1", b"1+"]])
            self.assertEqual(client.call("MGET", "k", "md:k"), [b"1", b"1+"])  # it stays where it was led
            self.assertEqual(self.of_bus(MARKETDATA, FIRST).get("md:k"), b"0")
            self.assertEqual(self.of_bus(MARKETDATA, FIRST + 1).get("md:k"), b"1+")
            self.assertEqual(self.of_bus(ENGINE_LOGIC, 3).get("k"), b"3")
            # One bus only, an XADD of each sort, and connections that are used again afterwards.
            self.assertEqual(self.run_transaction(client, select[0], ("INCR", "k"), select[2], ("INCR", "k")), ["OK", 1, "OK", 1])
            added = self.run_transaction(client, select[1], ("XADD", "s", "*", "message_type", "market_data"), select[0],
                                         ("XADD", "s", "*", "message_type", "market_data"))
            self.assertEqual([self.of_bus(ENGINE_LOGIC, 1).xlen("s"), self.of_bus(MARKETDATA, FIRST).xlen("s")], [1, 1])
            self.assertEqual(client.call("XRANGE", "s", "-", "+")[0][0], added[3])
            self.assertEqual(self.run_transaction(client, select[3]), ["OK"])
            self.assertEqual(self.run_transaction(client, ("GET", "k"), ("GET", "md:k")), [b"3", None])

    def test_select_within_a_transaction_counts_only_if_that_is_carried_out(self):
        client, other = self.connect(), self.connect()
        self.run_transaction(other, ("SET", "k", "0"), ("SELECT", 1), ("SET", "k", "1"))
        client.call("MULTI")
        client.call("SELECT", 1)
        self.assertEqual(client.call("DISCARD"), "OK")
        self.assertEqual(client.call("GET", "k"), b"0")
        client.call("MULTI")
        client.call("SELECT", 1)
        self.assertIn("unknown command", client.call("NONSENSE"))
        self.assertIn("EXECABORT", client.call("EXEC"))
        self.assertEqual(client.call("GET", "k"), b"0")
        client.call("WATCH", "k")
        self.of_bus(ENGINE_LOGIC, 0).append("k", "!")
        self.assertEqual(self.run_transaction(client, ("SELECT", 1), ("GET", "k")), None)
        self.assertEqual(client.call("GET", "k"), b"0!")

    def test_keys_of_several_databases_can_be_watched(self):
        client = self.connect()
        client.call("SELECT", 1)
        for changed in (None, 0, 1):
            self.assertEqual(client.call("WATCH", "w"), "OK")
            self.assertEqual(client.call("SELECT", 0), "OK")
            self.assertEqual(client.call("WATCH", "w"), "OK")
            if changed is not None:
                self.of_bus(ENGINE_LOGIC, changed).incr("w")
            self.assertEqual(client.call("SELECT", 2), "OK")
            done = self.run_transaction(client, ("INCR", "n"), ("SELECT", 1), ("INCR", "md:n"))
            self.assertEqual(done, [1, "OK", 1] if changed is None else None)
            self.assertEqual([self.of_bus(ENGINE_LOGIC, 2).get("n"), self.of_bus(MARKETDATA, FIRST + 1).get("md:n")], [b"1", b"1"])
            client.call("SELECT", 1)

    def test_keys_move_between_databases_of_their_bus(self):
        client = self.connect()
        client.call("SET", "md:k", "v")
        self.assertEqual(client.call("MOVE", "md:k", 1), 1)
        self.assertEqual(self.of_bus(MARKETDATA, FIRST + 1).get("md:k"), b"v")
        client.call("SELECT", 1)
        self.assertEqual(client.call("COPY", "md:k", "md:c", "DB", 3), 1)
        self.assertEqual(self.of_bus(MARKETDATA, FIRST + 3).get("md:c"), b"v")
        self.assertEqual(client.call("MOVE", "md:k", 4), "ERR DB index is out of range")
        client.call("SET", "k", "v")
        self.assertEqual(client.call("MOVE", "k", 0), 1)
        client.call("SELECT", 0)
        self.assertEqual(client.call("GET", "k"), b"v")
        self.assertIn("needs a key that is pinned", client.call("MOVE", "k", 1))
        self.assertIn("needs keys that are pinned", client.call("COPY", "k", "l", "DB", 1))
        self.assertIn("NOTSUPPORTED", client.call("SWAPDB", 0, 1))

    def test_monitor_names_the_database(self):
        monitor, client = self.connect(), self.connect()
        self.assertEqual(monitor.call("MONITOR"), "OK")
        client.call("SELECT", 3)
        client.call("GET", "seen")
        while '"seen"' not in (line := monitor.read()):
            pass
        self.assertRegex(line, r"^\d+\.\d{6} \[3 127\.0\.0\.1:\d+\] \"GET\" \"seen\"$")

    def test_a_database_that_the_bus_lacks_is_the_clients_fault_only(self):
        # The bus has 16, and the clients' database 0 is the last but one.
        with open(self.daemon.config_path, encoding="utf-8") as file:
            config = yaml.safe_load(file)
        config["buses"][ENGINE_LOGIC]["database"] = 14
        config["listen"]["port"], config["admin"]["port"] = free_port(), free_port()
        config["backend"] = {"reconnect_wait": "100ms"}
        directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        daemon = Daemon(directory, config)
        daemon.start()
        self.addCleanup(daemon.kill)
        client, other = self.connect(to=daemon), self.connect(to=daemon)
        client.call("SELECT", 2)
        self.assertTrue(client.call("SET", "k", 1).startswith("BUSDOWN"))
        wait_for(lambda: "DB index is out of range" in daemon.log(), "the log says why")
        self.assertEqual(other.call("SET", "k", 1), "OK")


# Nothing depends on time or chance.
TRANSCRIPT = [line.split() for line in """
SET k zero
SELECT 15
SELECT 16
SELECT -1
SELECT x
SELECT
SELECT 1 2
GET k
SET k fifteen
MOVE k 15
MOVE k 16
MOVE k -1
MOVE k x
MOVE k
MOVE nothing 3
MOVE k 0
MOVE k 3
EXISTS k
SELECT 3
GET k
COPY k k
COPY k k DB 3
COPY k k DB 4
COPY k k DB 4
COPY k k DB 4 REPLACE
COPY k k DB 16
COPY k k DB x
COPY k k DB
COPY k k REPLACE DB 5
SWAPDB 4 5
SWAPDB 4 16
SWAPDB x 4
SWAPDB 4 x
SWAPDB 4
SELECT 4
DBSIZE
SWAPDB 4 0
GET k
XADD s 1-1 a b
XREAD BLOCK 1 STREAMS s $
XGROUP CREATE s g 0
XREADGROUP GROUP g c BLOCK 5 STREAMS s >
XREADGROUP GROUP g c BLOCK 5 STREAMS s >
XREADGROUP GROUP none c BLOCK 5 STREAMS s >
SELECT 0
XADD s 1-1 a b
XREAD STREAMS s 0
FLUSHDB
SELECT 4
DBSIZE
FLUSHALL
SELECT 3
DBSIZE
""".strip().splitlines()]


class MissingDatabaseTest(StackTest):
    """Clients know more databases than one of the buses has."""
    config = {"databases": 16, "buses": {MARKETDATA: {"database": FIRST}},
              "routing": {"keys": [{"match": "md:*", "bus": MARKETDATA}]}}

    def test_nothing_of_a_transaction_is_carried_out_where_a_bus_lacks_a_database(self):
        client = self.connect()
        for watched in (False, True):
            if watched:
                client.call("WATCH", "md:k")
            client.call("MULTI")
            for request in (("SET", "k", "v"), ("SET", "md:k", "v"), ("SELECT", 15), ("SET", "md:k", "v")):
                self.assertEqual(client.call(*request), "QUEUED")
            self.assertEqual(client.call("EXEC"), "EXECABORT Transaction discarded because of: ERR DB index is out of range")
            self.assertEqual(client.call("MGET", "k", "md:k"), [None, None])
        client.call("WATCH", "md:k")
        client.call("SELECT", 15)
        self.assertEqual(client.call("WATCH", "md:k"), "ERR DB index is out of range")


class PlainTest(PlainStackTest):
    def test_one_bus_with_16_databases_answers_as_redis_does(self):
        for protocol in (2, 3):
            through, direct = self.connect(protocol=protocol), self.connect(self.bare, protocol)
            replies = []
            for request in TRANSCRIPT:
                replies.append(through.call_raw(*request))
                self.assertEqual(replies[-1], direct.call_raw(*request), request)
            self.assertFalse(any(reply.startswith(b"-NOTSUPPORTED") for reply in replies))


if __name__ == "__main__":
    unittest.main()
