"""Keys that are no streams have a default bus of their own, which may be the Redis that is being left behind."""
import unittest

from draining_test import MAIN, DrainingStackTest
from support.harness import ENGINE_LOGIC, MARKETDATA, merge


class KeyBusTest(DrainingStackTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wanted = merge(cls.wanted, {"routing": {"default_key_bus": MAIN}})
        cls.daemon.reload(cls.wanted)

    def names(self, bus):
        return {key.decode() for key in self.client(self.stack.buses.get(bus, self.main)).keys()}

    def test_keys_stay_there_and_messages_do_not_go_there(self):
        self.old.set("before", "kept")
        client = self.connect()
        self.assertEqual(client.call("GET", "before"), b"kept")
        self.assertEqual(client.call("SET", "a", 1), "OK")
        self.assertEqual(client.call("HSET", "h", "f", "v"), 1)
        self.assertEqual(client.call("MSET", "b", 2, "md:c", 3), "OK")
        self.assertEqual(client.call("MGET", "a", "b", "md:c", "before", "none"), [b"1", b"2", b"3", b"kept", None])
        self.assertEqual(client.call("MGET", "a", "b"), [b"1", b"2"])
        self.assertEqual([client.call("TYPE", key) for key in ("a", "h", "none")], ["string", "hash", "none"])
        self.assertEqual(client.call("OBJECT", "ENCODING", "a"), b"int")
        self.assertEqual((client.call("EXPIRE", "a", 100), client.call("TTL", "b")), (1, -1))
        for message_type in ("market_data", "order_request", "nobody_knows_it"):
            self.assertIsInstance(client.call("XADD", "s", "*", "message_type", message_type), bytes)
        self.assertEqual(self.names(MAIN), {"before", "a", "h", "b"})
        self.assertEqual(self.names(MARKETDATA), {"s", "md:c"})
        self.assertEqual(self.names(ENGINE_LOGIC), {"s"})
        self.assertEqual(client.call("TYPE", "s"), "stream")
        self.assertEqual(client.call("DEL", "a", "s", "md:c"), 3)
        self.assertEqual(self.names(MAIN), {"before", "h", "b"})

    def test_a_reload_moves_the_rule_and_nothing_else(self):
        client = self.connect()
        client.call("SET", "a", 1)
        self.daemon.reload(merge(self.wanted, {"routing": {"default_key_bus": MARKETDATA}}))
        self.addCleanup(self.daemon.reload, self.wanted)
        self.assertIsNone(client.call("GET", "a"))
        client.call("SET", "a", 2)
        self.assertEqual((self.names(MAIN), self.names(MARKETDATA)), ({"a"}, {"a"}))


if __name__ == "__main__":
    unittest.main()
