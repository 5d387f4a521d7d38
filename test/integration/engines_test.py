"""The engine behind a connection, and the counts of each engine."""
import unittest

from support.harness import MARKETDATA, StackTest, merge, wait_for

FIGURES = ("connections", "commands_total", "failed_commands_total", "messages_published_total", "messages_consumed_total",
           "polls_absorbed_total", "backend_seconds_total")


class EngineTest(StackTest):
    def figures(self, engine):
        """The counts of an engine, by the short name of the metric; all 0 if it has no row."""
        metrics = self.daemon.metrics()
        return {name.removesuffix("_total"): metrics.value("dualbus_engine_" + name, engine=engine) for name in FIGURES}

    def connections(self, engine):
        return self.figures(engine)["connections"]

    def engines(self):
        return self.daemon.metrics().labels("dualbus_engine_connections", "engine")

    def assert_counted(self, engine, **expected):
        self.assertEqual({name: self.figures(engine)[name] for name in expected}, expected)


class AttributionTest(EngineTest):
    def test_a_client_without_any_name_is_unknown_until_it_leaves(self):
        before = self.connections("unknown")
        client = self.connect()
        self.assertEqual(client.call("SET", "k", 1), "OK")
        self.assertEqual(self.connections("unknown"), before + 1)
        client.close()
        wait_for(lambda: self.connections("unknown") == 0, "all have left")

    def test_the_clients_own_name_wins(self):
        for protocol, naming in ((2, ("CLIENT", "SETNAME", "named-2")), (3, ("HELLO", 3, "SETNAME", "named-3"))):
            client = self.connect(protocol)
            client.call("XADD", "s", "*", "source_engine", "from-field")
            self.assertEqual(self.connections("from-field"), 1)
            client.call(*naming)
            client.call("XADD", "s", "*", "source_engine", "from-field")
            client.call("XREADGROUP", "GROUP", "g", "from-consumer-1", "STREAMS", "s", ">")
            self.assert_counted(naming[-1], connections=1, messages_published=1, commands=3)
            self.assert_counted("from-field", connections=0, messages_published=protocol - 1)
        self.assertNotIn("from-consumer", self.engines())

    def test_a_name_given_by_redis_py_is_one(self):
        client = self.client(client_name="redis-py-engine-1", health_check_interval=30)
        client.xadd("s", {"source_engine": "someone"})
        self.assert_counted("redis-py", connections=1, messages_published=1)
        client.connection_pool.disconnect()
        wait_for(lambda: self.connections("redis-py") == 0, "it has left")
        self.assert_counted("redis-py", messages_published=1)

    def test_the_field_of_a_message_tells(self):
        client = self.client(decode_responses=True)
        client.xadd("nautilus-risk-streams", {"message_type": "risk_x", "source_engine": "field-only", "payload": "{}"}, maxlen=100000)
        client.xadd("nautilus-risk-streams", {"message_type": "risk_x", "source_engine": "ignored"})
        self.assert_counted("field-only", connections=1, messages_published=2)

    def test_the_consumers_name_tells_even_when_every_read_fails(self):
        client = self.client()
        for _ in range(3):
            with self.assertRaisesRegex(Exception, "NOGROUP"):
                client.xreadgroup("reader-group", "reader-engine-reader-5", {"nothing": ">"}, count=50)
        self.assert_counted("reader", connections=1, failed_commands=3, commands=3)

    def test_one_engine_has_one_row_however_its_connections_are_named(self):
        named, publisher, consumer, claimer = (self.connect() for _ in range(4))
        named.call("CLIENT", "SETNAME", "same")
        publisher.call("XADD", "s", "*", "source_engine", "same")
        publisher.call("XGROUP", "CREATE", "s", "same-group", "0")
        consumer.call("XREADGROUP", "GROUP", "same-group", "same-engine-same-7", "STREAMS", "s", ">")
        claimer.call("XAUTOCLAIM", "s", "same-group", "same-8", 0, "0-0")
        self.assert_counted("same", connections=4, messages_published=1, messages_consumed=1)
        self.assertEqual([name for name in self.engines() if name.startswith("same")], ["same"])

    def test_reset_and_an_empty_name_take_the_name_back(self):
        client = self.connect()
        client.call("CLIENT", "SETNAME", "taken-back")
        for request in (("RESET",), ("CLIENT", "SETNAME", "")):
            client.call("CLIENT", "SETNAME", "taken-back")
            self.assertEqual(self.connections("taken-back"), 1)
            client.call(*request)
            self.assertEqual(self.connections("taken-back"), 0)
        client.call("XADD", "s", "*", "source_engine", "afterwards")
        self.assertEqual(self.connections("afterwards"), 1)

    def test_hostile_names_do_not_break_the_page(self):
        names = [b'"', b"'; }", b"\\", b"\n", b'"} 1\n# HELP x', b"\r\n\r\n", b"\xff\xfe", b"\xed\xa0\x80", b"\0", b"\x1b[31m", b"<script>",
                 "価格".encode(), b"x" * 10240, b"\xff" * 10240, b"other", b"unknown"]
        clients = []
        for name in names:
            for request in (("XADD", "s", "*", "source_engine", name), ("XREADGROUP", "GROUP", "g", name, "STREAMS", "s", ">"),
                            ("CLIENT", "SETNAME", name)):
                clients.append(self.connect())
                clients[-1].call(*request)
        text = self.daemon.metrics().text  # parsed line by line
        self.assertIn('dualbus_engine_connections{engine="\\""} 3', text)
        self.assertIn('dualbus_engine_connections{engine="\\\\x0a"} 2', text)
        self.assertIn('dualbus_engine_connections{engine="\\\\xff\\\\xfe"} 2', text)
        self.assertIn('dualbus_engine_connections{engine="価格"} 2', text)
        for engine in self.engines():
            self.assertLess(len(engine.encode()), 140, engine)
        metrics = self.daemon.metrics()
        self.assertEqual(metrics.value("dualbus_engine_connections"), metrics.value("dualbus_clients"))
        self.assertEqual(self.daemon.fetch("/")[0], 200)
        self.assertNotIn("<script>", self.daemon.fetch("/")[1])

    def test_the_status_page_shows_them(self):
        client = self.connect()
        client.call("CLIENT", "SETNAME", "on-the-page")
        client.call("XADD", "s", "*", "a", "b")
        self.assertIn("<tr><td>on-the-page</td><td>1</td><td>2</td><td>0</td><td>1</td><td>0</td><td>0</td>", self.daemon.fetch("/")[1])


class CountingTest(EngineTest):
    def engine(self, name, protocol=2):
        client = self.connect(protocol)
        self.assertEqual(client.call("CLIENT", "SETNAME", name), "OK")
        return client

    def test_published_are_messages_that_got_an_id(self):
        client = self.engine("publisher", 3)
        good = [("XADD", "s", "*", "message_type", ("market_data", "risk_x")[number % 2]) for number in range(20)]
        good += [("XADD", "md:s", "*", "a", "b"), ("XADD", "s", "NOMKSTREAM", "*", "a", "b"), ("XADD", "md:s", "NOMKSTREAM", "*", "a", "b"),
                 ("XADD", "s", "MAXLEN", "~", 1000, "*", "a", "b")]
        without_stream = [("XADD", "absent", "NOMKSTREAM", "*", "a", "b"), ("XADD", "md:absent", "NOMKSTREAM", "*", "a", "b")]
        bad = [("XADD", "s", "bad id", "a", "b"), ("XADD", "s", "1-1", "a", "b"), ("XADD", "s", "*", "a"), ("XADD", "md:s", "0-0", "a", "b"), ("XADD",)]
        client.pipeline(good + without_stream + bad + [("SET", "k", "v")])
        self.assert_counted("publisher", messages_published=24, failed_commands=5, commands=33)

    def test_consumed_are_entries_delivered_and_each_is_counted_once(self):
        writer, reader = self.engine("writer"), self.engine("reader")
        for stream, protocol in (("s", 2), ("md:s", 2), ("s", 3), ("md:s", 3)):
            if protocol == 3:
                reader.call("HELLO", 3)
            for _ in range(10):
                writer.call("XADD", stream, "*", "message_type", "market_data")
                writer.call("XADD", stream, "*", "message_type", "risk_x")
            before = self.figures("reader")["messages_consumed"]

            def consumed(*request):
                nonlocal before
                reader.call(*request)  # pylint: disable=cell-var-from-loop
                now = self.figures("reader")["messages_consumed"]
                grown, before = now - before, now
                return grown

            group = f"g{protocol}"
            reader.call("XGROUP", "CREATE", stream, group, "0")
            length = 20 if protocol == 2 else 40
            self.assertEqual(consumed("XREADGROUP", "GROUP", group, "c", "COUNT", 7, "STREAMS", stream, ">"), 7)
            self.assertEqual(consumed("XREADGROUP", "GROUP", group, "c", "COUNT", 3, "BLOCK", 1, "STREAMS", stream, ">"), 3)
            self.assertEqual(consumed("XREADGROUP", "GROUP", group, "c", "STREAMS", stream, "0"), 0, "read again")
            self.assertEqual(consumed("XREADGROUP", "GROUP", group, "c", "STREAMS", stream, ">"), length - 10)
            self.assertEqual(consumed("XREADGROUP", "GROUP", group, "c", "STREAMS", stream, ">"), 0, "nothing is left")
            self.assertEqual(consumed("XCLAIM", stream, group, "c2", 0, "1-1"), 0)
            self.assertEqual(consumed("XREAD", "COUNT", 5, "STREAMS", stream, "0"), 5)
            self.assertEqual(consumed("XREAD", "STREAMS", stream, "$"), 0)
            self.assertEqual(consumed("XRANGE", stream, "-", "+"), 0)
            self.assertEqual(consumed("XREADGROUP", "GROUP", "absent", "c", "STREAMS", stream, ">"), 0, "an error")
        self.assert_counted("writer", messages_published=80, failed_commands=0)

    def test_several_streams_of_one_bus_are_all_counted(self):
        writer, reader = self.engine("writer-of-two"), self.engine("reader-of-two")
        for number in range(5):
            writer.call("XADD", "md:a", "*", "n", number)
            writer.call("XADD", "md:b", "*", "n", number, "x", "y")
        for protocol in (2, 3):
            reader.call("HELLO", protocol)
            self.assertEqual(len(reader.call("XREAD", "STREAMS", "md:a", "md:none", "md:b", "0", "0", "0")), 2)
        self.assert_counted("reader-of-two", messages_consumed=20)

    def test_several_streams_of_one_group_read_are_all_counted(self):
        writer, reader = self.engine("writer-to-a-group"), self.engine("reader-of-a-group")
        streams = ("md:a", "md:b", "a", "el:c")
        for stream in streams:
            writer.call("XGROUP", "CREATE", stream, "g", "0", "MKSTREAM")
            for number in range(5):
                writer.call("XADD", stream, "*", "message_type", ("market_data", "risk_x")[number % 2])
        self.assertEqual(len(reader.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 3, "STREAMS", *streams, *">>>>")), 4)
        self.assert_counted("reader-of-a-group", messages_consumed=12)
        # Those of the first two are the consumer's own by now.
        reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", *streams, "0", "0", ">", ">")
        self.assert_counted("reader-of-a-group", messages_consumed=16)

    def test_polls_answered_without_a_bus_are_counted(self):
        client = self.engine("polling")
        client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        requests = [("XREADGROUP", "GROUP", group, "c", "STREAMS", "s", ">") for group in ("g", "absent")]

        def sent():
            return sum(server.client().info("commandstats").get("cmdstat_xreadgroup", {"calls": 0})["calls"] for server in self.stack.buses.values())

        before = sent()
        for _ in range(20):
            for request in requests:
                client.call(*request)
        asked = sent() - before
        absorbed = self.figures("polling")["polls_absorbed"]
        # Each that is not absorbed asks one bus or both.
        self.assertGreater(absorbed, 0)
        self.assertLessEqual(40 - absorbed, asked)
        self.assertGreaterEqual(2 * (40 - absorbed), asked)
        self.assert_counted("polling", failed_commands=20, messages_consumed=0)

    def test_a_reader_that_waited_is_counted(self):
        writer, reader = self.engine("writer-for-waiting"), self.engine("waiting")
        reader.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 20000, "STREAMS", "s", ">")
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "it waits")
        writer.call("XADD", "s", "*", "message_type", "market_data")
        self.assertEqual(len(reader.read()[0][1]), 1)
        self.assert_counted("waiting", messages_consumed=1, commands=3)

    def test_failures_are_those_of_redis_and_of_the_daemon(self):
        client = self.engine("failing")
        client.call("SET", "k", "v")
        for request in (("LPUSH", "k", 1), ("NOSUCH",), ("GET",), ("SAVE",), ("CLIENT", "SETNAME", "with blank")):
            client.call(*request)
        self.assert_counted("failing", failed_commands=5, commands=7)

    def test_the_time_at_the_buses_is_that_of_the_requests(self):
        client = self.engine("waiting-for-buses")
        self.assert_counted("waiting-for-buses", backend_seconds=0)
        with self.counted("dualbus_engine_backend_seconds_total", engine="waiting-for-buses") as spent:
            client.call("GET", "k")  # one bus
            forwarded = spent.value
            self.assertGreater(forwarded, 0)
            client.call("XLEN", "s")  # both
            self.assertGreater(spent.value, forwarded)
        before = self.figures("waiting-for-buses")["backend_seconds"]
        client.call("PING")
        self.assert_counted("waiting-for-buses", backend_seconds=before)


class CapTest(EngineTest):
    config = {"workers": 1}

    def test_engines_beyond_the_cap_count_as_other(self):
        clients = [self.connect() for _ in range(300)]
        for number, client in enumerate(clients):
            self.assertIsInstance(client.call("XADD", "s", "*", "source_engine", f"engine-{number:03}"), bytes)
        self.assertEqual(len(self.engines() - {"other", "unknown"}), 200)
        self.assert_counted("other", connections=100, messages_published=100, commands=100)
        self.assert_counted("engine-199", connections=1, messages_published=1)
        for client in clients:
            client.close()
        wait_for(lambda: self.daemon.metrics().value("dualbus_engine_connections") == 0, "all have left")
        self.assert_counted("other", messages_published=100)


class ReloadTest(EngineTest):
    config = {"workers": 1, "engines": {"max_names": 2, "field": "sender"}}

    def test_the_cap_and_the_field_change_at_run_time(self):
        def publish(field, name):
            client = self.connect()
            client.call("XADD", "s", "*", field, name)

        for name in ("a", "b", "c"):
            publish("sender", name)
        publish("source_engine", "nobody")
        self.assertEqual(self.engines(), {"a", "b", "other", "unknown"})
        self.daemon.reload(merge(self.stack.config, {"engines": {"max_names": 4, "field": "source_engine"}}))
        for name in ("a", "c", "d", "e"):
            publish("source_engine", name)
        self.assertEqual(self.engines(), {"a", "b", "c", "d", "other", "unknown"})
        self.assertEqual([self.connections(name) for name in ("a", "b", "c", "d", "other")], [2, 1, 1, 1, 2])


class WorkersTest(EngineTest):
    config = {"workers": 2}

    def test_the_rows_of_all_workers_are_added_up(self):
        clients = [self.connect() for _ in range(40)]
        for client in clients:
            client.call("CLIENT", "SETNAME", "on-both")
            for _ in range(3):
                client.call("XADD", "s", "*", "message_type", "market_data")
        self.assert_counted("on-both", connections=40, commands=160, messages_published=120, failed_commands=0)
        self.assertEqual(self.client(self.stack.buses[MARKETDATA]).xlen("s"), 120)


if __name__ == "__main__":
    unittest.main()
