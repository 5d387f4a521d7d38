"""Pub/Sub: transcripts of a bare Redis, routing of PUBLISH, and subscribers that see every bus."""
import asyncio
import json
import unittest

import redis.asyncio

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for
from support.resp import encode

# Requests of one client, each sent when the one before is answered, with the number of replies to it. The bytes
# must be those of a bare Redis.
TRANSCRIPTS = {
    "subscribing": [("SUBSCRIBE a b", 2), ("SUBSCRIBE a", 1), ("PSUBSCRIBE p* q*", 2), ("SSUBSCRIBE s", 1), ("UNSUBSCRIBE a", 1),
                    ("UNSUBSCRIBE nosuch", 1), ("UNSUBSCRIBE", 1), ("PUNSUBSCRIBE", 2), ("SUNSUBSCRIBE", 1), ("PING", 1)],
    "the same channel twice in one request": [("SUBSCRIBE a a", 2), ("UNSUBSCRIBE a a", 2), ("PING", 1)],
    "unsubscribing without subscriptions": [("UNSUBSCRIBE", 1), ("PUNSUBSCRIBE", 1), ("SUNSUBSCRIBE", 1), ("UNSUBSCRIBE a b", 2),
                                            ("PUNSUBSCRIBE a", 1), ("SUNSUBSCRIBE a", 1), ("GET nosuch", 1)],
    "PING": [("SUBSCRIBE a", 1), ("PING", 1), ("PING hello", 1), ("PING a b", 1), ("UNSUBSCRIBE", 1), ("PING", 1), ("PING hello", 1)],
    "other commands of a subscriber": [("SUBSCRIBE a", 1), ("GET nosuch", 1), ("PUBLISH x y", 1), ("CLIENT GETNAME", 1), ("GET", 1),
                                       ("NOSUCH", 1), ("ECHO x", 1), ("MGET a b", 1), ("SUBSCRIBE", 1), ("UNSUBSCRIBE", 1), ("GET nosuch", 1)],
    "shard channels keep a subscriber, too": [("SSUBSCRIBE a", 1), ("GET nosuch", 1), ("SUNSUBSCRIBE", 1), ("GET nosuch", 1)],
    "RESET": [("SUBSCRIBE a", 1), ("RESET", 1), ("GET nosuch", 1), ("UNSUBSCRIBE", 1)],
    "QUIT": [("SUBSCRIBE a", 1), ("QUIT", 1)],
    "CLIENT REPLY does not silence subscriptions": [("CLIENT REPLY ON", 1), ("SUBSCRIBE a", 1), ("UNSUBSCRIBE", 1)],
    "wrong requests": [("SUBSCRIBE", 1), ("PSUBSCRIBE", 1), ("SSUBSCRIBE", 1), ("PUBLISH", 1), ("PUBLISH a", 1), ("PUBLISH a b c", 1),
                       ("SPUBLISH a", 1), ("PUBSUB", 1), ("PUBSUB NOSUCH", 1), ("PUBSUB CHANNELS a b", 1), ("PUBSUB NUMPAT x", 1),
                       ("PUBSUB HELP", 1)],
    "nobody listens": [("PUBLISH a b", 1), ("SPUBLISH a b", 1), ("PUBSUB CHANNELS", 1), ("PUBSUB NUMSUB", 1), ("PUBSUB NUMSUB a b", 1),
                       ("PUBSUB NUMPAT", 1), ("PUBSUB SHARDCHANNELS", 1), ("PUBSUB SHARDNUMSUB a", 1)],
}
TYPES = {MARKETDATA: "market_data", ENGINE_LOGIC: "order_request"}


def payload(message_type, **more):
    return json.dumps({"message_type": message_type, **more})


def pubsub_connections(bus):
    with bus.client() as client:
        return client.client_list(_type="pubsub")


class SameAsRedisTest(StackTest):
    def transcript(self, connection, steps):
        replies = []
        for request, count in steps:
            connection.send(*request.split(" "))
            replies.append((request, [connection.read_raw() for _ in range(count)]))
        return replies

    def test_replies_are_those_of_redis_in_both_protocols(self):
        for protocol in (2, 3):
            for name, steps in TRANSCRIPTS.items():
                with self.subTest(f"RESP{protocol} {name}"):
                    with self.connect(protocol) as daemon, self.connect(protocol, to=self.stack.engine_logic) as bare:
                        expected = self.transcript(bare, steps)
                        self.assertEqual(self.transcript(daemon, steps), expected)

    def test_messages_are_those_of_redis_in_both_protocols(self):
        for protocol in (2, 3):
            for server in (self.daemon, self.stack.engine_logic):
                wait_for(lambda: not pubsub_connections(self.stack.engine_logic), "nobody is subscribed")
                with self.connect(protocol, to=server) as subscriber, self.connect(to=server) as publisher:
                    for request in (("SUBSCRIBE", "c"), ("PSUBSCRIBE", "c*"), ("PSUBSCRIBE", "*"), ("SSUBSCRIBE", "c")):
                        subscriber.call(*request)
                    got = [publisher.call_raw("PUBLISH", "c", "x\r\n\0"), publisher.call_raw("SPUBLISH", "c", "")]
                    got += sorted(subscriber.read_raw() for _ in range(4))
                if server is self.daemon:
                    ours = got
            self.assertEqual(ours, got, f"RESP{protocol}")

    def test_subscriptions_among_other_requests_of_one_write_keep_their_place(self):
        requests = [("SET", "k", "v"), ("GET", "k"), ("SUBSCRIBE", "a"), ("PING",), ("UNSUBSCRIBE",), ("GET", "k"), ("SUBSCRIBE", "b"),
                    ("GET", "k")]
        for protocol in (2, 3):
            with self.connect(protocol) as daemon, self.connect(protocol, to=self.stack.engine_logic) as bare:
                replies = []
                for connection in (daemon, bare):
                    connection.send_raw(b"".join(encode(*request) for request in requests))
                    replies.append([connection.read_raw() for _ in requests])
                self.assertEqual(*replies)


class PubSubTest(StackTest):
    config = {"routing": {"channels": [{"match": "prices.*", "bus": MARKETDATA}]}, "limits": {"pubsub_output_buffer": "1mb"}}

    def setUp(self):
        super().setUp()
        wait_for(lambda: not any(pubsub_connections(bus) for bus in self.stack.buses.values()), "no connection of the test before")

    def subscriber(self, *request, protocol=2, to=None):
        connection = self.connect(protocol, to)
        connection.call(*request)
        return connection

    def test_publish_goes_to_the_bus_of_its_type_else_of_its_channel_else_to_the_default_one(self):
        direct = {name: self.subscriber("PSUBSCRIBE", "*", to=bus) for name, bus in self.stack.buses.items()}
        publisher = self.connect()
        cases = [("any", payload("market_data"), MARKETDATA), ("any", payload("order_request"), ENGINE_LOGIC),
                 ("prices.x", payload("risk_metric"), ENGINE_LOGIC), ("prices.x", payload("nobody_knows"), MARKETDATA),
                 ("prices.x", "no JSON", MARKETDATA), ("any", "{broken", ENGINE_LOGIC), ("any", payload("nobody_knows"), ENGINE_LOGIC)]
        with self.counted("dualbus_pubsub_published_total", bus=MARKETDATA, rule="channel") as by_channel:
            for channel, text, bus in cases:
                self.assertEqual(publisher.call("PUBLISH", channel, text), 1)
                self.assertEqual(direct[bus].read()[2:], [channel.encode(), text.encode()], (channel, text))
            self.assertEqual(by_channel.value, 2)

    def test_a_subscriber_sees_all_buses_whoever_publishes(self):
        for protocol in (2, 3):
            subscriber = self.subscriber("SUBSCRIBE", "c", protocol=protocol)
            for name, bus in self.stack.buses.items():
                self.assertEqual(self.connect().call("PUBLISH", "c", payload(TYPES[name])), 1 if protocol == 2 else 2)
                self.assertEqual(subscriber.read()[2], payload(TYPES[name]).encode())
                self.connect(to=bus).call("PUBLISH", "c", "direct")
                self.assertEqual(subscriber.read()[2], b"direct")

    def test_a_subscriber_also_gets_keyspace_notifications_of_all_buses(self):
        subscriber = self.subscriber("SUBSCRIBE", "__keyevent@0__:set")
        for name, bus in self.stack.buses.items():
            with bus.client() as client:
                client.config_set("notify-keyspace-events", "KEA")
                client.set(f"k-{name}", 1)
                client.config_set("notify-keyspace-events", "")
            self.assertEqual(subscriber.read()[2], f"k-{name}".encode())

    def test_many_subscribers_share_one_connection_per_bus(self):
        subscribers = [self.subscriber("SUBSCRIBE", "c", f"own-{number}") for number in range(200)]
        for subscriber in subscribers:
            subscriber.read()
        self.assertEqual([len(pubsub_connections(bus)) for bus in self.stack.buses.values()], [self.stack.config["workers"]] * 2)
        publisher = self.connect()
        self.assertEqual(publisher.call("PUBLISH", "c", "x"), 200)
        self.assertEqual(publisher.call("PUBLISH", "own-7", "y"), 1)
        for subscriber in subscribers:
            self.assertEqual(subscriber.read(), [b"message", b"c", b"x"])
        self.assertEqual(publisher.call("PUBSUB", "NUMSUB", "c", "own-7", "none"), [b"c", 200, b"own-7", 1, b"none", 0])
        self.assertEqual(len(publisher.call("PUBSUB", "CHANNELS")), 201)
        self.assertEqual(self.daemon.metrics().value("dualbus_pubsub_clients"), 200)
        self.assertIn(b"pubsub_channels:201\r\n", publisher.call("INFO", "stats"))

    def test_receivers_and_subscribers_are_counted_with_those_of_the_buses(self):
        kept = [self.subscriber("SUBSCRIBE", "c"), self.subscriber("PSUBSCRIBE", "c*"), self.subscriber("PSUBSCRIBE", "c*"),
                self.subscriber("SUBSCRIBE", "c", to=self.stack.engine_logic), self.subscriber("PSUBSCRIBE", "*", to=self.stack.engine_logic)]
        publisher = self.connect()
        self.assertEqual(publisher.call("PUBLISH", "c", "x"), 5)
        self.assertEqual(publisher.call("PUBLISH", "c", payload("market_data")), 3)
        self.assertEqual(publisher.call("PUBSUB", "NUMSUB", "c"), [b"c", 2])
        self.assertEqual(publisher.call("PUBSUB", "NUMPAT"), 2)
        self.assertEqual([kept[0].read()[0] for _ in range(2)], [b"message"] * 2)
        self.assertEqual(kept[0].call("UNSUBSCRIBE"), [b"unsubscribe", b"c", 0])
        self.assertEqual(publisher.call("PUBLISH", "c", "x"), 4)

    def test_the_bus_is_told_when_the_last_subscriber_has_gone_however_it_goes(self):
        publisher = self.connect()
        for leave in (lambda c: c.call("UNSUBSCRIBE"), lambda c: c.close(), lambda c: c.abort(), lambda c: c.call("RESET"),
                      lambda c: c.call("QUIT"), lambda c: self.client().client_kill_filter(_id=ids[c])):
            ids = {}
            first, last = self.connect(3), self.connect()
            for connection in (first, last):
                ids[connection] = connection.call("CLIENT", "ID")
                connection.call("SUBSCRIBE", "c")
            first.call("UNSUBSCRIBE", "c")
            self.assertEqual(publisher.call("PUBSUB", "CHANNELS"), [b"c"])
            leave(last)
            wait_for(lambda: publisher.call("PUBSUB", "CHANNELS") == [], "nobody is subscribed")
            wait_for(lambda: not any(pubsub_connections(bus) for bus in self.stack.buses.values()), "the connections are closed")

    def test_client_list_shows_subscriptions(self):
        connection = self.subscriber("SUBSCRIBE", "a", "b", protocol=3)
        connection.read()
        connection.call("PSUBSCRIBE", "p*")
        connection.call("SSUBSCRIBE", "s")
        (line,) = self.connect().call("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()
        self.assertRegex(line, r" flags=P .* sub=2 psub=1 ssub=1 ")
        self.assertNotIn(" sub=2 ", self.connect().call("CLIENT", "LIST", "TYPE", "normal").decode())

    def test_pushes_come_between_replies_and_while_the_client_is_blocked(self):
        connection, publisher = self.subscriber("SUBSCRIBE", "c", protocol=3), self.connect()
        connection.send("BLPOP", "el:list", 0)
        connection.send("GET", "el:none")
        wait_for(lambda: " cmd=blpop " in publisher.call("CLIENT", "LIST").decode(), "it waits")
        publisher.call("PUBLISH", "c", "x")
        self.assertEqual(connection.read(), [b"message", b"c", b"x"])
        publisher.call("RPUSH", "el:list", "v")
        self.assertEqual([connection.read(), connection.read()], [[b"el:list", b"v"], None])

    def test_what_a_client_publishes_to_itself_comes_behind_the_reply(self):
        """As in Redis since 7.2; 7.0 puts it into the middle of EXEC's reply."""
        connection = self.subscriber("SUBSCRIBE", "c", protocol=3)
        spin = "local s=redis.call('time') repeat local t=redis.call('time') until (t[1]-s[1])*1000000+t[2]-s[2]>100000 return 7"
        message = [b"message", b"c", b"x"]
        # One bus is done long before the other one.
        for request in (("MULTI",), ("PUBLISH", "c", "x"), ("EVAL", spin, 1, "md:k"), ("PUBLISH", "c", "x"), ("EXEC",)):
            connection.send(*request)
        self.assertEqual([connection.read() for _ in range(5)], ["OK", "QUEUED", "QUEUED", "QUEUED", [1, 7, 1]])
        self.assertEqual([connection.read(), connection.read()], [message, message])
        for _ in range(30):
            for request in (("MULTI",), ("PUBLISH", "c", "x"), ("INCR", "el:n"), ("EXEC",)):
                connection.send(*request)
            self.assertEqual(len([connection.read() for _ in range(4)][3]), 2)
            self.assertEqual(connection.read(), message)
            self.assertEqual([connection.call("PUBLISH", "c", "x"), connection.read()], [1, message])
            self.assertEqual([connection.call("EVAL", "return redis.call('publish','c','x')", 0), connection.read()], [1, message])

    def test_messages_to_a_client_that_publishes_all_the_time_arrive_meanwhile(self):
        connection = self.subscriber("SUBSCRIBE", "c", protocol=3)
        rounds = 300
        connection.send_raw(b"".join(encode("PUBLISH", "c", number) for number in range(rounds)))
        got = [connection.read() for _ in range(2 * rounds)]
        self.assertEqual([answer for answer in got if answer != 1], [[b"message", b"c", b"%d" % number] for number in range(rounds)])
        first = {kind: next(i for i, answer in enumerate(got) if (answer == 1) == (kind == "reply")) for kind in ("reply", "message")}
        self.assertLess(first["reply"], first["message"])

    def test_a_subscriber_that_does_not_read_is_cut_off_and_others_do_not_notice(self):
        lazy, busy, publisher = self.subscriber("SUBSCRIBE", "c"), self.subscriber("SUBSCRIBE", "c"), self.connect()
        text = "x" * 200_000
        with self.counted("dualbus_pubsub_clients_cut_off_total") as cut_off:
            for number in range(100):
                publisher.call("PUBLISH", "c", f"{number} {text}")
                self.assertEqual(busy.read()[2].split()[0], b"%d" % number)
            self.assertEqual(cut_off.value, 1)
        self.assertEqual(publisher.call("PUBLISH", "c", "end"), 1)
        lazy.close()

    def test_one_with_many_subscriptions_ends_them_all(self):
        names, other = [f"channel:{number}" for number in range(2_000)], self.connect()
        for end in ("UNSUBSCRIBE", "close"):
            subscriber = self.connect()
            subscriber.send("SUBSCRIBE", *names)
            for _ in names:
                subscriber.read_raw()
            self.assertEqual(len(other.call("PUBSUB", "CHANNELS")), len(names))
            if end == "close":
                subscriber.close()
            else:
                subscriber.send(end)
                self.assertEqual([subscriber.read()[2] for _ in names], list(range(len(names) - 1, -1, -1)))
            wait_for(lambda: other.call("PUBSUB", "CHANNELS") == [], "the buses have none of them")


class OutageTest(StackTest):
    def test_a_bus_that_comes_back_has_all_subscriptions_again(self):
        subscriber, publisher = self.connect(), self.connect()
        subscriber.call("SUBSCRIBE", "c")
        bus = self.stack.marketdata
        with self.counted("dualbus_pubsub_interruptions_total", bus=MARKETDATA) as interruptions:
            bus.kill()
            wait_for(lambda: interruptions.value == 1, "the daemon notices")
            self.assertEqual(publisher.call("PUBLISH", "c", "x"), 1)
            self.assertEqual(subscriber.read()[2], b"x")
            late = self.connect()
            self.assertEqual(late.call("SUBSCRIBE", "late"), [b"subscribe", b"late", 1])
            self.assertGreater(self.daemon.metrics().value("dualbus_pubsub_unconfirmed_total", bus=MARKETDATA), 0)
            bus.start()
        with bus.client() as direct:
            wait_for(lambda: sorted(direct.pubsub_channels()) == [b"c", b"late"], "everything is subscribed to again")
            direct.publish("c", "y")
            direct.publish("late", "z")
        self.assertEqual([subscriber.read()[2], late.read()[2]], [b"y", b"z"])

    def test_redis_py_subscribers_get_everything_over_the_restart_of_a_bus(self):
        pubsub = self.client().pubsub()
        self.addCleanup(pubsub.close)
        pubsub.subscribe("c")
        pubsub.psubscribe("p*")
        for _ in range(2):
            self.assertIn(pubsub.get_message(timeout=10)["type"], ("subscribe", "psubscribe"))
        self.stack.engine_logic.kill()
        self.stack.engine_logic.start()
        with self.stack.engine_logic.client() as direct:
            wait_for(lambda: direct.pubsub_channels() == [b"c"], "it is subscribed to again")
        self.await_connections()
        publisher = self.client()
        publisher.publish("c", "x")
        publisher.publish("p1", payload("market_data"))
        messages = [pubsub.get_message(timeout=10) for _ in range(2)]
        self.assertEqual([message["type"] for message in messages], ["message", "pmessage"])

    def test_redis_py_asyncio_subscribers_listen(self):
        async def run():
            client = redis.asyncio.Redis(port=self.daemon.port)
            pubsub = client.pubsub()
            await pubsub.subscribe("c")
            await pubsub.psubscribe("p*")
            seen = []
            async for message in pubsub.listen():
                seen.append(message["type"])
                if len(seen) == 2:
                    await client.publish("c", "x")
                    await client.publish("p1", payload("market_data"))
                elif len(seen) == 4:
                    break
            await pubsub.unsubscribe()
            await pubsub.close()
            await client.connection_pool.disconnect()
            return seen

        self.assertEqual(sorted(asyncio.run(asyncio.wait_for(run(), 20))), ["message", "pmessage", "psubscribe", "subscribe"])

    def test_a_subscription_is_refused_while_no_bus_can_be_reached(self):
        for bus in self.stack.buses.values():
            bus.kill()
        connection = self.connect()
        try:
            self.assertRegex(connection.call("SUBSCRIBE", "c"), "^BUSDOWN ")
        finally:
            for bus in self.stack.buses.values():
                bus.start()
        self.await_connections()
        self.assertEqual(connection.call("SUBSCRIBE", "c"), [b"subscribe", b"c", 1])


class WorkersTest(StackTest):
    config = {"workers": 2}

    def test_counts_are_those_of_all_workers(self):
        subscribers = [self.connect() for _ in range(20)]
        for subscriber in subscribers:
            subscriber.call("SUBSCRIBE", "c")
            subscriber.call("PSUBSCRIBE", "p*")
        for name in self.stack.buses:
            publisher = self.connect()
            self.assertEqual(publisher.call("PUBLISH", "c", payload(TYPES[name])), 20)
            self.assertEqual(publisher.call("PUBSUB", "NUMSUB", "c"), [b"c", 20])
            self.assertEqual(publisher.call("PUBSUB", "NUMPAT"), 1)
            for subscriber in subscribers:
                self.assertEqual(subscriber.read()[2], payload(TYPES[name]).encode())


if __name__ == "__main__":
    unittest.main()
