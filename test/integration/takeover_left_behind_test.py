"""A rollback with deploy/takeover.sh lists the things that it leaves behind, and its status says so."""
import unittest

from support.takeover_stack import IdleStack


class LeftBehindTest(IdleStack):
    def test_what_is_left_behind_is_listed_and_is_status_2(self):
        self.run_script("--watch", "0")
        client = self.connect()
        for name in ("ignored-group", "other"):
            self.assertEqual(client.call("XGROUP", "CREATE", "t", name, "0", "MKSTREAM"), "OK")
        for message_type in ("market_data", "order_request"):
            client.call("XADD", "t", "*", "message_type", message_type)
        for _ in range(2):
            (_, entries), = client.call("XREADGROUP", "GROUP", "other", "c", "NOACK", "COUNT", "1", "STREAMS", "t", ">")
        with self.engine_logic.client(db=3) as elsewhere:
            elsewhere.set("k", "v")
            elsewhere.xadd("s", {"a": 1})
            text = self.run_script("--rollback", "--timeout", "60", status=1)
            self.assertIn("engine_logic: database 3, stream 's' has 1 entries that no group reads", text)
            self.assertIn("engine_logic: 2 keys are no streams, or in other databases", text)
            self.assertEqual(self.serves(self.port), "dualbusd")
            elsewhere.flushdb()
        text = self.run_script("--rollback", "--timeout", "60", status=2)
        for bus in ("marketdata", "engine_logic"):
            self.assertRegex(text, rf"{bus}: stream 't', group 'ignored-group': entries to read from [0-9-]+ on \(ignored by a rule\)")
        self.assertIn("Taken back. The entries and keys above were left behind", text)
        self.client = self.connect()
        self.unchanged()


if __name__ == "__main__":
    unittest.main()
