"""A bus that is a Valkey: clients see the names and versions that it would tell them itself."""
import unittest

from support.fake_redis import HELLO, FakeRedis
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for

VALKEY_HELLO = HELLO.replace(b"$5\r\nredis", b"$6\r\nvalkey").replace(b"$6\r\n7.0.15", b"$5\r\n9.1.2")
VALKEY_INFO = (b"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nvalkey_release_stage:ga\r\n"
               b"server_mode:standalone\r\ngcc_version:12.2.0\r\nrole:master\r\n")


class ValkeyTest(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.fake = FakeRedis()
        cls.addClassCleanup(cls.fake.kill)
        cls.fake.greeting, cls.fake.info = VALKEY_HELLO, VALKEY_INFO
        cls.fake.commands[b"LOLWUT"] = b"$16\r\nValkey ver.9.1.2\r\n"
        cls.config = {"buses": {MARKETDATA: {"endpoint": cls.fake.endpoint}},
                      "routing": {"default_bus": MARKETDATA, "default_key_bus": ENGINE_LOGIC}}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready")

    def fields(self, text):
        return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)

    def test_hello_names_it(self):
        for version in (2, 3):
            said = self.connect().call("HELLO", version)
            said = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2]))
            self.assertEqual((said[b"server"], said[b"version"]), (b"valkey", b"9.1.2"))

    def test_info_has_its_fields(self):
        for request in (("INFO",), ("INFO", "server")):
            server = self.fields(self.connect().call(*request))
            self.assertEqual([server.get(name) for name in ("redis_version", "server_name", "valkey_version", "valkey_release_stage", "server_mode")],
                             ["7.2.4", "valkey", "9.1.2", "ga", "standalone"])
            self.assertNotIn("redis_mode", server)
            self.assertNotIn("gcc_version", server)

    def test_info_within_multi_goes_by_the_handshake(self):
        client = self.connect()
        client.pipeline([("MULTI",), ("INFO", "server")])
        server = self.fields(client.call("EXEC")[0])
        self.assertEqual([server.get(name) for name in ("redis_version", "server_name", "valkey_version", "server_mode")],
                         ["7.2.4", "valkey", "9.1.2", "standalone"])

    def test_each_bus_is_what_it_is(self):
        real = self.client(self.stack.engine_logic).info()["redis_version"]
        text = self.connect().call("INFO", "buses")
        buses = self.fields(text)
        self.assertTrue(buses[f"bus_{MARKETDATA}"].endswith(",redis_version=7.2.4,server_name=valkey,valkey_version=9.1.2,valkey_release_stage=ga"), text)
        self.assertTrue(buses[f"bus_{ENGINE_LOGIC}"].endswith(f",redis_version={real}"), text)
        self.assertEqual(buses[f"bus_{MARKETDATA}_valkey_version"], "9.1.2")
        versions = {bus: self.daemon.metrics().matching("redis_instance_info", bus=bus)[0][0] for bus in (MARKETDATA, ENGINE_LOGIC)}
        self.assertEqual([(labels["redis_version"], labels.get("valkey_version", "")) for labels in versions.values()], [("7.2.4", "9.1.2"), (real, "")])
        self.assertEqual(versions[MARKETDATA]["redis_mode"], "standalone")
        self.assertIn("up, Valkey 9.1.2", self.daemon.fetch("/")[1])
        for line in (r"RESP2, Valkey 9\.1\.2\)", r"Valkey 9\.1\.2 answers INFO"):
            self.daemon.wait_for_log(line)

    def test_lolwut_is_its_own(self):
        self.assertEqual(self.connect().call("LOLWUT", "VERSION", 1), b"Valkey ver.9.1.2")


if __name__ == "__main__":
    unittest.main()
