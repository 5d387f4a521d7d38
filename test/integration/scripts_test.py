"""Scripts and functions: run on the bus of their keys, loaded on all."""
import hashlib
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for
from support.resp import encode

WRITE = "return redis.call('SET', KEYS[1], ARGV[1])"
LIBRARY = ("#!lua name=lib\n"
           "redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)\n"
           "redis.register_function{function_name='fetch', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}\n")


class ScriptsTest(StackTest):
    def setUp(self):
        super().setUp()
        for bus in self.stack.buses.values():
            bare = self.client(bus)
            bare.script_flush()
            bare.execute_command("FUNCTION", "FLUSH")

    def bus_get(self, bus, key):
        return self.client(self.stack.buses[bus]).get(key)

    def test_a_script_runs_on_the_bus_of_its_keys(self):
        client = self.connect()
        self.assertEqual(client.call("EVAL", WRITE, 1, "md:1", "a"), "OK")
        self.assertEqual(client.call("EVAL", WRITE, 1, "el:1", "b"), "OK")
        self.assertEqual(client.call("EVAL", WRITE, 1, "x", "c"), "OK")
        self.assertEqual(self.bus_get(MARKETDATA, "md:1"), b"a")
        self.assertEqual([self.bus_get(ENGINE_LOGIC, key) for key in ("el:1", "x")], [b"b", b"c"])
        self.assertEqual(client.call("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "md:1"), b"a")
        self.assertEqual(client.call("EVAL", "return {1, 'two', false}", 0), [1, b"two", None])
        self.assertRegex(client.call("EVAL", WRITE, 2, "md:1", "x"), "^CROSSBUS command 'EVAL' has keys on different buses")

    def test_mistakes_are_refused_in_redis_words(self):
        bare_keys = self.connect(to=self.stack.engine_logic)
        for protocol in (2, 3):
            client = self.connect(protocol)
            bare = self.connect(protocol, to=self.stack.engine_logic)
            for request in (("EVAL", "return 1", "x"), ("EVAL", "return 1", -1), ("EVAL", "return 1", 2, "k"), ("EVAL", "syntax error(", 0),
                            ("EVALSHA", "x", 0), ("EVALSHA", "f" * 40, 1, "md:1"), ("EVALSHA_RO", "f" * 40, 0), ("SCRIPT", "LOAD"),
                            ("SCRIPT", "LOAD", "syntax error("), ("SCRIPT", "NOSUCH"), ("SCRIPT", "EXISTS"), ("SCRIPT", "FLUSH", "X"),
                            ("SCRIPT", "HELP"), ("FCALL", "nosuch", 0), ("FCALL_RO", "nosuch", 1, "md:1"), ("FUNCTION", "LOAD", "x"),
                            ("FUNCTION", "DELETE", "nosuch"), ("FUNCTION", "NOSUCH"), ("FUNCTION", "LIST"), ("FUNCTION", "HELP"),
                            ("FUNCTION", "RESTORE", "x"), ("EVAL_RO", WRITE, 1, "x", "y"), ("EVAL", "return redis.error_reply('MINE x')", 0)):
                self.assertEqual(client.call_raw(*request), bare.call_raw(*request), request)
        self.assertEqual(bare_keys.call("DBSIZE"), 0)

    def test_script_load_makes_a_script_known_on_every_bus(self):
        client = self.connect()
        sha = client.call("SCRIPT", "LOAD", WRITE)
        for bus in self.stack.buses.values():
            self.assertEqual(self.client(bus).script_exists(sha), [True])
        for key in ("md:1", "el:1", "x"):
            self.assertEqual(client.call("EVALSHA", sha, 1, key, "v"), "OK")
        self.assertEqual(client.call("SCRIPT", "FLUSH"), "OK")
        for bus in self.stack.buses.values():
            self.assertEqual(self.client(bus).script_exists(sha), [False])

    def test_script_exists_tells_what_every_bus_knows(self):
        client = self.connect()
        everywhere = client.call("SCRIPT", "LOAD", "return 1")
        somewhere = self.client(self.stack.marketdata).script_load("return 2")
        self.assertEqual(client.call("SCRIPT", "EXISTS", everywhere, somewhere, "f" * 40), [1, 0, 0])

    def test_clients_recover_from_noscript(self):
        client = self.client()
        script = client.register_script(WRITE)
        for key in ("md:1", "x"):
            self.assertEqual(script(keys=[key], args=["v"]), b"OK")
        for bus in self.stack.buses.values():
            self.client(bus).script_flush()
            self.assertEqual(script(keys=["md:1"], args=["w"]), b"OK")
            self.assertEqual(script(keys=["x"], args=["w"]), b"OK")
        self.assertEqual((self.bus_get(MARKETDATA, "md:1"), self.bus_get(ENGINE_LOGIC, "x")), (b"w", b"w"))

    def test_eval_makes_a_script_known_on_every_bus(self):
        text = "return KEYS[1]"
        sha = hashlib.sha1(text.encode()).hexdigest()
        for protocol in (2, 3):
            client = self.connect(protocol)
            for _ in range(2):
                self.assertRegex(client.call("EVALSHA", sha, 1, "md:1"), "^NOSCRIPT ")
                # As libraries do that take it for known as soon as EVAL is on its way.
                requests = [("EVAL", text, 1, "md:1"), ("EVALSHA", sha, 1, "x"), ("EVALSHA", sha, 1, "md:1")]
                client.send_raw(b"".join(encode(*request) for request in requests))
                self.assertEqual([client.read() for _ in requests], [b"md:1", b"x", b"md:1"])
                client.call("SCRIPT", "FLUSH")
            for bus in self.stack.buses.values():  # behind the daemon's back
                client.call("EVAL", text, 1, "md:1")
                self.client(bus).script_flush()
            for key in ("x", "md:1"):
                if str(client.call("EVALSHA", sha, 1, key)).startswith("NOSCRIPT"):
                    client.call("EVAL", text, 1, key)
            self.assertEqual([client.call("EVALSHA", sha, 1, key) for key in ("x", "md:1")], [b"x", b"md:1"])
            client.call("SCRIPT", "FLUSH")
            requests = [("MULTI",), ("EVAL_RO", text, 1, "x"), ("EVALSHA", sha, 1, "md:1"), ("EXEC",)]
            client.send_raw(b"".join(encode(*request) for request in requests))
            self.assertEqual([client.read() for _ in requests][-1], [b"x", b"md:1"])
            client.call("SCRIPT", "FLUSH")

    def test_a_bus_that_was_started_again_is_told_scripts_again(self):
        text = "return KEYS[1] .. '!'"
        sha = hashlib.sha1(text.encode()).hexdigest()
        client = self.connect()
        client.call("EVAL", text, 1, "x")
        self.assertEqual(client.call("EVALSHA", sha, 1, "md:1"), b"md:1!")
        self.stack.marketdata.kill()
        self.stack.marketdata.start()
        wait_for(lambda: client.call("GET", "md:1") is None, "the bus is back")
        self.assertRegex(client.call("EVALSHA", sha, 1, "md:1"), "^NOSCRIPT ")
        client.call("EVAL", text, 1, "x")
        self.assertEqual(client.call("EVALSHA", sha, 1, "md:1"), b"md:1!")
        self.await_connections()

    def test_functions_are_loaded_on_every_bus_and_run_on_that_of_their_keys(self):
        client = self.connect()
        self.assertEqual(client.call("FUNCTION", "LOAD", LIBRARY), b"lib")
        self.assertRegex(client.call("FUNCTION", "LOAD", LIBRARY), "^ERR Library 'lib' already exists")
        self.assertEqual(client.call("FUNCTION", "LOAD", "REPLACE", LIBRARY), b"lib")
        for key, bus in (("md:1", MARKETDATA), ("x", ENGINE_LOGIC)):
            self.assertEqual(client.call("FCALL", "put", 1, key, "v"), "OK")
            self.assertEqual(self.bus_get(bus, key), b"v")
            self.assertEqual(client.call("FCALL_RO", "fetch", 1, key), b"v")
        self.assertRegex(client.call("FCALL", "put", 2, "md:1", "x", "v"), "^CROSSBUS ")
        self.assertEqual(client.call("FUNCTION", "LIST")[0][1], b"lib")
        saved = client.call("FUNCTION", "DUMP")
        self.assertEqual(client.call("FUNCTION", "DELETE", "lib"), "OK")
        for bus in self.stack.buses.values():
            self.assertEqual(self.client(bus).execute_command("FUNCTION", "LIST"), [])
        self.assertEqual(client.call("FUNCTION", "RESTORE", saved), "OK")
        self.assertEqual(client.call("FCALL_RO", "fetch", 1, "md:1"), b"v")
        self.assertEqual(client.call("FUNCTION", "FLUSH"), "OK")
        self.assertEqual(client.call("FCALL", "put", 1, "x", "v"), "ERR Function not found")

    def test_what_needs_a_connection_of_its_own_is_refused(self):
        client = self.connect()
        self.assertRegex(client.call("SCRIPT", "DEBUG", "YES"), "^NOTSUPPORTED command 'SCRIPT DEBUG' ")

    def test_an_entry_that_a_script_adds_wakes_a_reader_and_ends_empty_polls(self):
        client, poll = self.connect(), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "el:s", "s", ">", ">")
        for key in ("el:s", "s"):
            client.call("XGROUP", "CREATE", key, "g", "0", "MKSTREAM")
        add = "return redis.call('XADD', 's', '*', 'a', 'b')"
        for request in (("EVAL", add, 0), ("EVAL", add.replace("'s'", "KEYS[1]"), 1, "s")):
            for _ in range(5):
                self.assertIsNone(client.call(*poll))
            client.call(*request)
            self.assertEqual(client.call(*poll)[0][0], b"s")
        reader = self.connect()
        reader.send("XREAD", "BLOCK", 10000, "STREAMS", "s", "$")
        wait_for(lambda: b"blocked_clients:1\r\n" in client.call("INFO", "clients"), "the reader waits")
        client.call("EVAL", add, 0)
        self.assertEqual(reader.read()[0][0], b"s")


if __name__ == "__main__":
    unittest.main()
