"""A bus that leaves one reply out: from then on every request would get the reply to the one behind it. The connection is given up
within backend.health_interval."""
import select
import threading
import unittest

from support.harness import MARKETDATA, StackTest, wait_for
from support.valve import Valve

LOST = "BUSLOST bus 'marketdata': connection lost after the command was sent, outcome unknown"


class ReplyOrderTest(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.config = {"workers": 1, "databases": 2,
                      "backend": {"health_interval": "100ms", "request_timeout": "1m", "health_timeout": "1m", "backoff_min": "5ms", "backoff_max": "20ms"}}
        super().setUpClass()
        # The same stack with the valve in between.
        cls.valve = Valve(cls.stack.marketdata.address)
        cls.daemon.terminate()
        cls.daemon.config["buses"][MARKETDATA]["endpoint"] = cls.valve.endpoint
        cls.daemon.write_config(cls.daemon.config)
        cls.daemon.start()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.valve.stop()

    def setUp(self):
        super().setUp()
        self.addCleanup(setattr, self.valve, "edit", lambda passage, data: data)

    def leave_out(self, wanted):
        """The first reply that is or begins with `wanted`, a whole one; an event for when it is done."""
        done = threading.Event()

        def edit(passage, data):
            at = data.find(wanted)
            if done.is_set() or at < 0 or not self.applies(passage):
                return data
            done.set()
            return data[:at] + data[at + len(wanted):]

        self.valve.edit = edit
        return done

    @staticmethod
    def is_watcher(passage):
        return b"TRACKING" in passage.asked and b"REDIRECT" not in passage.asked

    def applies(self, passage):
        return b"dualbusd-info" not in passage.asked and not self.is_watcher(passage)

    def check(self, client):
        for key in "abc":
            self.assertEqual(client.call("SET", f"md:{key}", f"value-{key}"), "OK")
        left_out = self.leave_out(b"$7\r\nvalue-a\r\n")
        with self.counted("dualbus_backend_unexpected_replies_total", bus=MARKETDATA) as unexpected:
            # Nothing else is under way: the marker's reply comes in its place.
            self.assertEqual(client.call("GET", "md:a"), LOST)
            self.assertTrue(left_out.is_set())
            self.assertEqual(unexpected.value, 1)
        self.assertEqual(client.pipeline([("GET", "md:a"), ("GET", "md:b")]), [b"value-a", b"value-b"])
        left_out = self.leave_out(b"$7\r\nvalue-b\r\n")
        replies = client.pipeline([("GET", "md:a"), ("GET", "md:b"), ("GET", "md:c")])
        self.assertEqual(replies[0], b"value-a")
        self.assertEqual(replies[2], LOST)
        self.assertEqual(client.pipeline([("GET", "md:a"), ("GET", "md:b"), ("GET", "md:c")]), [b"value-a", b"value-b", b"value-c"])
        self.daemon.wait_for_log("left out a reply or sent one too many")

    def test_a_reply_that_takes_in_all_later_ones_is_found(self):
        for head in (b"*1000000\r\n", b"$100000000\r\n"):
            done = threading.Event()

            def edit(passage, data, head=head, done=done):
                if done.is_set() or not self.applies(passage) or b"value-a" not in data:
                    return data
                done.set()
                return head + data

            client = self.connect()
            self.assertEqual(client.call("SET", "md:a", "value-a"), "OK")
            self.valve.edit = edit
            self.assertEqual(client.call("GET", "md:a"), LOST)
            self.assertEqual(client.call("GET", "md:a"), b"value-a")
        self.daemon.wait_for_log("sends replies within another one that does not end")

    def test_subscribers_hear_again_after_an_error_and_a_reply_too_many(self):
        steps = [lambda data: b"-MISCONF not now\r\n", lambda data: data + b"+OK\r\n"]

        def edit(passage, data):
            of_number = b"SUBSCRIBE" in passage.asked and data.startswith(b"$") and data.count(b"\r\n") == 2
            return steps.pop(0)(data) if of_number and steps else data

        subscriber, publisher = self.connect(), self.connect()
        self.assertEqual(subscriber.call("SUBSCRIBE", "c"), [b"subscribe", b"c", 1])
        with self.counted("dualbus_pubsub_interruptions_total", bus=MARKETDATA) as interruptions:
            self.valve.edit = edit
            wait_for(lambda: interruptions.value == 1, "the connection is given up")
        message = '{"message_type": "market_data"}'
        # Redis may count the connection that is gone for a moment yet.
        wait_for(lambda: publisher.call("PUBLISH", "c", message) > 0 and select.select([subscriber.socket], [], [], 0.1)[0], "there is another one")
        self.assertEqual(subscriber.read(), [b"message", b"c", message.encode()])

    def test_on_the_connection_for_resp2(self):
        self.check(self.connect())

    def test_on_the_connection_for_resp3(self):
        self.check(self.connect(3))

    def test_on_the_connection_for_another_database(self):
        client = self.connect()
        self.assertEqual(client.call("SELECT", 1), "OK")
        self.check(client)

    def test_in_a_block_of_several_replies(self):
        client = self.connect()
        left_out = self.leave_out(b"+QUEUED\r\n")
        self.assertEqual(client.pipeline([("MULTI",), ("SET", "md:a", 1), ("SET", "md:b", 1), ("EXEC",)])[-1], LOST)
        self.assertTrue(left_out.is_set())
        self.assertEqual(client.call("GET", "md:a"), b"1")

    def test_a_watcher_arms_nothing_by_another_reply(self):
        reader, writer = self.connect(), self.connect()
        self.assertEqual(writer.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        self.applies = lambda passage: self.is_watcher(passage) and b"EXISTS" in passage.asked
        left_out = self.leave_out(b":1\r\n")
        reader.send("XREAD", "BLOCK", 0, "STREAMS", "s", "$")  # a read of a group would not leave it to the watcher
        wait_for(left_out.is_set, "the watcher misses a reply")
        self.daemon.wait_for_log("left out a reply or sent one too many")
        # Past the daemon, so that only the watcher can tell.
        with self.stack.marketdata.client() as bus:
            bus.xadd("s", {"a": "b"})
        self.assertEqual(reader.read()[0][1][0][1], [b"a", b"b"])


if __name__ == "__main__":
    unittest.main()
