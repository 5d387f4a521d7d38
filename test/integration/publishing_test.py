"""The fleet's publishing: redis-py publishers, unchanged, whose messages are stored by type on the right bus and only there."""
import asyncio
import json
import os
import time
import unittest
import uuid

import redis
import redis.asyncio
import yaml

from support.harness import (ENGINE_LOGIC, MARKETDATA, ROOT, StackTest, shown, stored)

with open(os.path.join(ROOT, "config", "dualbus.yaml"), encoding="utf-8") as file:
    FLEET = yaml.safe_load(file)
FLEET_TYPES = {name: bus for bus, names in FLEET["routing"]["types"].items() for name in names}
STREAMS = [f"nautilus-{engine}-streams" for engine in ("portfolio", "risk", "ml", "websocket")]


def message(message_type, number=0):
    return {"message_type": message_type, "source_engine": "ml", "source_instance": "ml-1",
            "payload": json.dumps({"symbol": "AAPL", "number": number, "note": "naïve ☃"}), "priority": "normal",
            "timestamp": repr(time.time()), "correlation_id": str(uuid.uuid4())}


class FleetTest(StackTest):
    """With config/dualbus.yaml as it is shipped, except for the ports."""

    config = {key: FLEET[key] for key in ("routing", "anchor", "missing_group", "absorb", "limits")}

    def entries(self, bus, stream):
        return dict(self.client(self.stack.buses[bus], decode_responses=True).xrange(stream))

    def check_stored(self, published):
        """`published`: (stream, client ID, fields), all that there is."""
        expected = {MARKETDATA: {}, ENGINE_LOGIC: {}}
        for stream, client_id, fields in published:
            bus = FLEET_TYPES.get(fields["message_type"], ENGINE_LOGIC)
            there, bus_id = stored(client_id)
            self.assertEqual(there, bus, f"{fields['message_type']} has the ID {client_id}")
            expected[bus].setdefault(stream, {})[bus_id] = fields
        for bus, streams in expected.items():
            for stream in STREAMS:
                self.assertEqual(self.entries(bus, stream), streams.get(stream, {}), f"{stream} on {bus}")

    def test_every_type_of_the_fleet_is_stored_on_its_bus_and_only_there(self):
        client = self.client(decode_responses=True, health_check_interval=30)
        published = []
        for message_type in [*FLEET_TYPES, "margin_call", ""]:
            for stream in STREAMS:
                fields = message(message_type)
                published.append((stream, client.xadd(stream, fields, maxlen=100000, approximate=True), fields))
        self.assertGreater(len(FLEET_TYPES), 20)
        self.check_stored(published)

    def test_asyncio_publishers_in_the_legacy_pattern_lose_and_mix_nothing(self):
        published = []

        async def engine(number):
            client = redis.asyncio.Redis(port=self.daemon.port, decode_responses=True, socket_keepalive=True,
                                         health_check_interval=30)
            for round_number in range(6):
                for message_type in list(FLEET_TYPES)[number::3]:
                    fields = message(message_type, round_number)
                    # The fleet broadcasts: all streams at the same time.
                    ids = await asyncio.gather(*(client.xadd(stream, fields, maxlen=100000, approximate=True)
                                                 for stream in STREAMS))
                    published.extend((stream, entry_id, fields) for stream, entry_id in zip(STREAMS, ids))
            await client.close(close_connection_pool=True)

        async def run():
            await asyncio.gather(*(engine(number) for number in range(3)))

        asyncio.run(run())
        self.assertEqual(len(published), 6 * len(FLEET_TYPES) * len(STREAMS))
        self.check_stored(published)

    def test_pipelines_without_transaction_publish_mixed_types_in_order(self):
        client = self.client(decode_responses=True)
        types = list(FLEET_TYPES) * 5
        fields = [message(message_type, number) for number, message_type in enumerate(types)]
        with client.pipeline(transaction=False) as pipeline:
            for each in fields:
                pipeline.xadd(STREAMS[0], each)
            ids = pipeline.execute()
        self.check_stored([(STREAMS[0], entry_id, each) for entry_id, each in zip(ids, fields)])
        for bus in self.stack.buses:
            numbers = [json.loads(each["payload"])["number"] for each in self.entries(bus, STREAMS[0]).values()]
            self.assertEqual(numbers, sorted(numbers), "one publisher's messages change places")

    def test_what_was_published_is_read_back_through_the_daemon(self):
        client = self.client(decode_responses=True)
        published = {}
        for number, message_type in enumerate(list(FLEET_TYPES) * 3):
            fields = message(message_type, number)
            published[client.xadd(STREAMS[0], fields)] = fields
        in_order = sorted(published, key=lambda text: tuple(map(int, text.split("-"))))
        self.assertEqual(client.xlen(STREAMS[0]), len(published))
        self.assertEqual(client.xrange(STREAMS[0]), [(entry, published[entry]) for entry in in_order])
        self.assertEqual(client.xrevrange(STREAMS[0]), [(entry, published[entry]) for entry in reversed(in_order)])
        self.assertEqual(client.xrange(STREAMS[0], min=in_order[3], max=in_order[5]),
                         [(entry, published[entry]) for entry in in_order[3:6]])
        for entry in in_order[::2]:
            self.assertEqual(client.xdel(STREAMS[0], entry), 1)
            self.assertEqual(client.xdel(STREAMS[0], entry), 0)
        self.assertEqual([entry for entry, _ in client.xrange(STREAMS[0])], in_order[1::2])
        self.assertEqual(client.xdel(STREAMS[0], *in_order), len(in_order[1::2]))
        self.assertEqual(client.xlen(STREAMS[0]), 0)

    def test_a_health_check_after_a_pause_does_not_disturb_the_publisher(self):
        client = self.client(decode_responses=True, health_check_interval=1)
        first = client.xadd(STREAMS[0], message("market_data"))
        connection = client.connection_pool._available_connections[0]  # pylint: disable=protected-access
        connection.next_health_check = 0
        second = client.xadd(STREAMS[0], message("market_data"))
        self.assertEqual([entry for entry, _ in client.xrange(STREAMS[0])], [first, second])
        self.assertGreaterEqual(self.daemon.metrics().value("dualbus_requests_total", cmd="ping", outcome="ok"), 1)


class ClassificationTest(StackTest):
    config = {"routing": {"types": {MARKETDATA: ["market_data", "price_*"]}, "max_type_names": 20}}

    def where(self, *arguments, key="orders"):
        """The bus that an XADD of these fields ends on, which must be the only one."""
        with self.connect() as connection:
            before = {name: self.client(bus).xlen(key) for name, bus in self.stack.buses.items()}
            reply = connection.call("XADD", key, "*", *arguments)
        self.assertIsInstance(reply, bytes, reply)
        grown = [name for name, bus in self.stack.buses.items() if self.client(bus).xlen(key) > before[name]]
        self.assertEqual(len(grown), 1)
        return grown[0]

    def test_names_globs_and_the_default_bus(self):
        self.assertEqual(self.where("message_type", "market_data"), MARKETDATA)
        self.assertEqual(self.where("message_type", "price_level"), MARKETDATA)
        self.assertEqual(self.where("message_type", "risk_anything"), ENGINE_LOGIC)
        self.assertEqual(self.where("message_type", "market_data2"), ENGINE_LOGIC)
        self.assertEqual(self.where("message_type", "MARKET_DATA"), ENGINE_LOGIC)
        self.assertEqual(self.where("other", "market_data"), ENGINE_LOGIC)

    def test_the_first_message_type_counts(self):
        self.assertEqual(self.where("a", "b", "message_type", "market_data", "message_type", "risk_x"), MARKETDATA)
        self.assertEqual(self.where("a", "message_type", "message_type", "risk_x", "message_type", "market_data"), ENGINE_LOGIC)

    def test_json_envelopes_are_looked_into_when_the_field_is_absent(self):
        envelope = json.dumps({"before": [1, {"message_type": "no"}], "message_type": "market_data"})
        for field in ("payload", "data", "message"):
            self.assertEqual(self.where(field, envelope), MARKETDATA)
        self.assertEqual(self.where("payload", envelope, "message_type", "risk_x"), ENGINE_LOGIC)
        self.assertEqual(self.where("elsewhere", envelope), ENGINE_LOGIC)
        self.assertEqual(self.where("payload", json.dumps({"message_type": "price_ü\n"})), MARKETDATA)
        self.assertEqual(self.where("payload", '{"x":1}', "data", envelope), MARKETDATA)

    def test_what_is_not_json_is_no_error_and_no_match(self):
        for text in ('{"message_type": "market_data', '{"message_type": market_data}',"{'message_type': 'market_data'}", "{", "[", "", " ", "null", "\x00",
                     '{"message_type": 7}', '["market_data"]', "[" * 100000, '{"a":' * 2000, b"\xff\xfe{", "{}",
                     '{"message_type":"\\ud800"}', "[NaN]", '{"x":"\\"message_type\\":\\"market_data\\"","y":NaN}'):
            self.assertEqual(self.where("payload", text), ENGINE_LOGIC, text[:60])

    def test_a_type_in_json_that_parsers_refuse_is_found(self):
        def text(value):
            return '{"before":%s,"message_type":"market_data","behind":%s}' % (value, value)

        found = {"number": ("20000000000000000000", "-1e400", "[1e999]"), "string": ('"\\ud800"', '"\n"', b'"\xff"'), "size": ('"%s"' % ("x" * (3 << 20)),),
                 "depth": ("[" * 1500 + "]" * 1500,), "syntax": (json.dumps({"x": [float("nan"), float("inf"), -float("inf")]}), "nul", "[1,]")}
        for reason, values in found.items():
            labels = {"reason": reason, "type": "found"}
            with self.counted("dualbus_json_refused_total", **labels) as counted, self.connect() as client:
                for value in values:
                    whole = text(value) if isinstance(value, str) else text("!").encode().replace(b"!", value)
                    self.assertEqual(self.where("payload", whole), MARKETDATA, (reason, whole[:60]))
                    # On which bus it was published, the counter says.
                    with self.counted("dualbus_pubsub_published_total", bus=MARKETDATA, rule="json") as published:
                        client.call("PUBLISH", "channel", whole)
                        self.assertEqual(published.value, 1, (reason, whole[:60]))
                self.assertEqual(counted.value, 2 * len(values), reason)
        for unfinished, where in (('{"message_type":"market_data"', MARKETDATA), ('{"x":{"message_type":"market_data"}', ENGINE_LOGIC)):
            self.assertEqual(self.where("payload", unfinished), where)
        lines = [line for line in self.daemon.full_log().splitlines() if "searched for the message type" in line]
        self.assertLessEqual(len(lines), 5 * self.stack.config["workers"], lines)
        self.assertGreaterEqual(len(lines), 5)

    def test_unknown_types_are_counted_by_name_up_to_the_cap(self):
        with self.connect() as connection:
            with self.counted("dualbus_messages_routed_total", rule="default", bus=ENGINE_LOGIC) as routed:
                for number in range(60):
                    connection.call("XADD", "many", "*", "message_type", f"mystery_{number:02}", "n", 1)
                self.assertEqual(routed.value, 60)
        names = self.daemon.metrics().labels("dualbus_messages_routed_total", "message_type")
        self.assertIn("other", names)
        self.assertLessEqual(len(names - {"other", "none"}), 20)

    def test_pinned_keys_stay_on_their_bus_under_the_bus_own_ids(self):
        with self.connect() as connection:
            entry = connection.call("XADD", "md:x", "*", "message_type", "order_request")
            self.assertEqual(self.client(self.stack.marketdata).xrange("md:x"), [(entry, {b"message_type": b"order_request"})])
            self.assertEqual(connection.call("XADD", "md:x", "99999999999999-5", "a", "b"), b"99999999999999-5")
            self.assertEqual(connection.call("XRANGE", "md:x", "99999999999999", "+"), [[b"99999999999999-5", [b"a", b"b"]]])
            self.assertEqual(connection.call("XDEL", "md:x", "99999999999999-5"), 1)
            self.assertEqual(self.where("message_type", "market_data", key="el:y"), ENGINE_LOGIC)
        self.assertEqual(self.client(self.stack.engine_logic).xlen("md:x"), 0)


class ArgumentsTest(StackTest):
    """The options of XADD on a logical stream."""

    def add(self, *arguments, key="s"):
        return self.connect().call("XADD", key, *arguments)

    def test_nomkstream_adds_only_to_a_stream_that_exists_on_some_bus(self):
        options = ("NOMKSTREAM", "*", "message_type")
        self.assertIsNone(self.add(*options, "market_data"))
        for bus in self.stack.buses.values():
            self.assertEqual(self.client(bus).exists("s"), 0)
        self.add("*", "message_type", "order_request")
        added = self.add(*options, "market_data")
        self.assertEqual(stored(added)[0], MARKETDATA)
        self.assertEqual(stored(self.add("nomkstream", "MAXLEN", "5", "*", "message_type", "risk_1"))[0], ENGINE_LOGIC)
        self.assertEqual(self.client(self.stack.marketdata).xlen("s"), 1)
        self.assertEqual(self.client(self.stack.engine_logic).xlen("s"), 2)

    def test_explicit_ids_are_stored_as_they_are_on_the_bus_they_name(self):
        fields = ("message_type", "market_data")
        self.assertEqual(self.add(shown("7-3", MARKETDATA), *fields), shown("7-3", MARKETDATA).encode())
        self.assertEqual(self.client(self.stack.marketdata).xrange("s"), [(b"7-3", {b"message_type": b"market_data"})])
        self.assertEqual(self.add("8-*", *fields), shown("8-0", MARKETDATA).encode())
        self.assertEqual(self.add("8-*", *fields), shown("8-1", MARKETDATA).encode())
        foreign = self.add(shown("9-1", ENGINE_LOGIC), *fields)
        self.assertRegex(foreign, "^ERR dualbus: explicit ID")
        self.assertRegex(self.add("9-1", *fields), "^ERR dualbus: explicit ID")
        self.assertEqual(self.client(self.stack.marketdata).xlen("s"), 3)
        self.assertEqual(self.client(self.stack.engine_logic).xlen("s"), 0)

    def test_maxlen_and_minid_trim_the_bus_of_the_message(self):
        for number in range(1, 11):
            self.add(shown(f"{number}-1", MARKETDATA), "message_type", "market_data")
            self.add(shown(f"{number}-1", ENGINE_LOGIC), "message_type", "order_request")
        self.add("MAXLEN", "=", "4", shown("20-1", MARKETDATA), "message_type", "market_data")
        self.assertEqual(self.client(self.stack.marketdata).xlen("s"), 4)
        self.assertEqual(self.client(self.stack.engine_logic).xlen("s"), 10)
        # Client IDs bound what is trimmed: entries of slot 2 at 5-1 lie above slot 1's.
        self.add("MINID", shown("5-1", MARKETDATA), shown("21-1", ENGINE_LOGIC), "message_type", "order_request")
        self.assertEqual([entry for entry, _ in self.client(self.stack.engine_logic).xrange("s")],
                         [b"%d-1" % number for number in (5, 6, 7, 8, 9, 10, 21)])
        self.add("MINID", "=", shown("9-1", ENGINE_LOGIC), shown("22-1", MARKETDATA), "message_type", "market_data")
        self.assertEqual([entry for entry, _ in self.client(self.stack.marketdata).xrange("s")],
                         [b"10-1", b"20-1", b"22-1"])
        before = self.client(self.stack.engine_logic).xlen("s")
        self.add("MAXLEN", "~", "1", "LIMIT", "10", "*", "message_type", "order_request")
        self.assertEqual(self.client(self.stack.engine_logic).xlen("s"), before + 1)

    def test_errors_are_redis_own_and_store_nothing(self):
        bare = self.connect(to=self.stack.engine_logic)
        for arguments in (["*"], ["*", "a"], ["*", "a", "b", "c"], ["x", "a", "b"], ["1-2-3", "a", "b"], ["0-0", "a", "b"],
                          ["MAXLEN", "x", "*", "a", "b"], ["MAXLEN", "-1", "*", "a", "b"], ["MAXLEN", "~", "*", "a", "b"],
                          ["MAXLEN", "5", "MINID", "1", "*", "a", "b"], ["MAXLEN", "5", "LIMIT", "3", "*", "a", "b"],
                          ["LIMIT", "3", "*", "a", "b"], ["MINID", "z", "*", "a", "b"], ["NOMKSTREAM"], ["NOMKSTREAM", "*"],
                          ["18446744073709551616-1", "a", "b"], ["-", "a", "b"], ["+", "a", "b"], ["*", "*", "*", "*"]):
            expected = bare.call_raw("XADD", "fresh", *arguments)
            self.assertEqual(self.connect().call_raw("XADD", "fresh", *arguments), expected, arguments)
        for bus in self.stack.buses.values():
            self.assertEqual(self.client(bus).exists("fresh"), 0)
        self.client(self.stack.engine_logic).set("text", "x")
        self.assertEqual(self.add("*", "a", "b", key="text"), "WRONGTYPE Operation against a key holding the wrong kind of value")
        self.add(shown("50-1", ENGINE_LOGIC), "a", "b", key="old")
        self.assertEqual(self.add(shown("50-1", ENGINE_LOGIC), "a", "b", key="old"),
                         "ERR The ID specified in XADD is equal or smaller than the target stream top item")

    def test_binary_and_large_values_arrive_unchanged(self):
        every_byte = bytes(range(256)) * 3
        large = os.urandom(1 << 20) * 5
        key = b"bin\0\r\n*3\r\n\xff"
        for bus, message_type in ((MARKETDATA, "market_data"), (ENGINE_LOGIC, b"\xff\0type")):
            fields = {b"message_type": message_type, b"": b"", every_byte: every_byte, b"\r\n$5": large}
            client = self.client()
            entry = client.xadd(key, fields)
            self.assertEqual(stored(entry)[0], bus)
            got = self.client(self.stack.buses[bus]).xrange(key)
            expected = {name: value if isinstance(value, bytes) else value.encode() for name, value in fields.items()}
            self.assertEqual(got, [(stored(entry)[1].encode(), expected)])
            self.assertEqual(client.xrange(key, min=entry, max=entry), [(entry, expected)])

    def test_a_thousand_fields_fit_into_one_message(self):
        fields = {f"field{number}": f"value{number}" for number in range(1000)}
        client = self.client(decode_responses=True)
        entry = client.xadd("wide", {**fields, "message_type": "market_data"})
        self.assertEqual(stored(entry)[0], MARKETDATA)
        self.assertEqual(client.xrange("wide")[0][1], {**fields, "message_type": "market_data"})


if __name__ == "__main__":
    unittest.main()
