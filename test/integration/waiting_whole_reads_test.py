"""Reads with BLOCK of streams that one bus has whole: what they answer is Redis's, whoever waits, and with config/plain.yaml the
Redis waits."""
import copy
import threading
import unittest

from support.fake_redis import FakeStackTest
from support.harness import Daemon, StackTest, free_port, wait_for
from support.plain_stack import PlainStackTest

READ = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 20_000, "STREAMS")
# Commands that take the group or the stream from under those who wait for it; {k} is the key.
ENDS = ("DEL {k}", "SET {k} x", "XGROUP DESTROY {k} g", "RENAME {k} {k}:2", "UNLINK {k}", "MULTI; DEL {k}; SADD {k} e; EXEC",
        "MULTI; DEL {k}; XADD {k} 9-9 a b; EXEC", "PEXPIRE {k} 1")


def end_wait(client, how, key):
    for words in how.format(k=key).split("; "):
        client.call(*words.split())


class PlainTest(PlainStackTest):
    backend = {"health_interval": "30m", "health_timeout": "1h"}  # a connection that is being tested is not lent, and another one comes later

    def begin(self, server, *words):
        """Sends a read that will wait, and returns its connection when the Redis counts a client that waits."""
        redis = self.connect(self.bus if server is self.daemon else server)
        before = self.figure(redis, "clients", "blocked_clients")
        reader = self.connect(server)
        reader.send(*words)
        wait_for(lambda: self.figure(redis, "clients", "blocked_clients") == before + 1, "the Redis counts it")
        return reader

    def figure(self, client, section, name):
        found = [line.split(b":", 1)[1] for line in client.call("INFO", section).split(b"\r\n") if line.startswith(name.encode() + b":")]
        return int(found[0]) if found and found[0].isdigit() else found[0] if found else None

    def test_the_redis_waits_and_counts_one_call(self):
        for server in (self.daemon, self.bare):
            client = self.connect(server)
            for words in (("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), ("CONFIG", "RESETSTAT")):
                self.assertEqual(client.call(*words), "OK")
            group, plain = self.begin(server, *READ, "s", ">"), self.begin(server, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
            self.assertEqual(self.figure(client, "clients", "blocked_clients"), 2)
            self.assertEqual(client.call("XADD", "s", "5-5", "a", "b"), b"5-5")
            for reader in (group, plain):
                self.assertEqual(reader.read(), [[b"s", [[b"5-5", [b"a", b"b"]]]]])
            for name in ("xread", "xreadgroup"):
                self.assertRegex(self.figure(client, "commandstats", f"cmdstat_{name}"), b"^calls=1,.*,rejected_calls=0,failed_calls=0")

    def test_who_is_heard_first_in_a_turn_is_at_the_redis_first(self):
        reader, writer = self.connect(), self.connect()
        for _ in range(10):  # the first read makes the connection
            self.assertIsNone(reader.call("XREAD", "BLOCK", 1, "STREAMS", "s", "$"))
            self.daemon.pause()
            reader.send("XREAD", "BLOCK", 500, "STREAMS", "s", "$")
            writer.send("XADD", "s", "*", "a", "b")
            self.daemon.proceed()
            self.assertEqual(reader.read(), [[b"s", [[writer.read(), [b"a", b"b"]]]]])

    def test_what_it_delivers_counts_as_consumed(self):
        for client in (self.connect(), self.connect()):
            client.call("SELECT", 1 if client.call("EXISTS", "s") else 0)  # there every read that waits does so in the Redis
            client.call("CLIENT", "SETNAME", "reader")
            client.call("XADD", "s", "1-1", "a", "b")
            client.call("XGROUP", "CREATE", "s", "g", "0")
            before = self.daemon.metrics().value("dualbus_engine_messages_consumed_total", engine="reader")
            for position in (">", "0", ">"):  # new, its own, none
                client.call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 1, "STREAMS", "s", position)
            client.call("XREAD", "BLOCK", 1, "STREAMS", "s", "0")
            self.assertEqual(self.daemon.metrics().value("dualbus_engine_messages_consumed_total", engine="reader") - before, 2)

    def test_a_wait_ends_as_in_the_redis(self):
        for how in ENDS:
            replies = []
            for server in (self.daemon, self.bare):
                client = self.connect(server)
                client.call("FLUSHALL")
                client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
                reader = self.begin(server, *READ, "s", ">")
                end_wait(client, how, "s")
                replies.append(reader.read_raw())
            self.assertEqual(*replies, how)
            self.assertRegex(replies[0], b"^-(UNBLOCKED|NOGROUP|WRONGTYPE)", how)

    def test_the_daemon_waits_for_those_who_get_no_connection(self):
        config = copy.deepcopy(self.daemon.config)
        config["listen"]["port"], config["admin"]["port"] = free_port(), free_port()
        config["backend"] = {"dedicated_connections": 1}
        other = Daemon(self.directory, config).start()
        self.addCleanup(other.kill)
        client = self.connect(other)
        client.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        first, *rest = readers = [self.connect(other) for _ in range(3)]
        for reader in readers:
            reader.send("XREAD", "BLOCK", 20_000, "STREAMS", "s", "$")
            wait_for(lambda n=readers.index(reader): client.call("CLIENT", "LIST").count(b"flags=b") == n + 1, "it waits")
        self.assertEqual(other.metrics().value("dualbus_parked_readers"), len(rest))
        client.call("XADD", "s", "5-5", "a", "b")
        for reader in (first, *rest):
            self.assertEqual(reader.read(), [[b"s", [[b"5-5", [b"a", b"b"]]]]])

    def test_what_makes_the_daemon_wait_otherwise_makes_it_wait_itself(self):
        for more, words in (({"missing_group": {"action": "create", "start": "$"}}, (*READ, "new", ">")),
                            ({"limits": {"max_block": "50ms"}}, ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"))):
            config = {**copy.deepcopy(self.daemon.config), **more}
            config["listen"]["port"], config["admin"]["port"] = free_port(), free_port()
            other = Daemon(self.directory, config).start()
            self.addCleanup(other.kill)
            reader = self.connect(other)
            reader.send(*words)
            if "limits" not in more:
                client = self.connect(other)
                wait_for(lambda c=client: b"flags=b" in c.call("CLIENT", "LIST"), "it waits")
                client.call("XADD", "new", "5-5", "a", "b")
                self.assertEqual(reader.read(), [[b"new", [[b"5-5", [b"a", b"b"]]]]])
            else:
                self.assertIsNone(reader.read())


class PinnedTest(StackTest):
    """The daemon waits; the words are those of the bus."""

    def test_a_wait_ends_in_the_words_of_the_bus(self):
        redis = self.connect(to=self.stack.marketdata)
        for how in ENDS:
            replies = []
            for to in (None, self.stack.marketdata):
                key = f"md:{ENDS.index(how)}:{'direct' if to else 'through'}"
                client = self.connect(to=to)
                client.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM")
                reader = self.connect(to=to)
                reader.send(*READ, key, ">")
                wait_for(lambda c=client: b"flags=b" in c.call("CLIENT", "LIST"), "it waits")
                end_wait(redis, how, key)
                replies.append(reader.read_raw().replace(key.encode(), b"KEY"))
            self.assertEqual(*replies, how)

    def test_mistakes_are_the_bus_s_to_find(self):
        client, redis = self.connect(), self.connect(to=self.stack.marketdata)
        redis.call("XGROUP", "CREATE", "md:s", "g", "0", "MKSTREAM")
        for words in ("GROUP g c BLOCK 5 CLAIM 10 STREAMS md:s >", "GROUP g c BLOCK 5 NEWER STREAMS md:s >", "GROUP g c BLOCK x STREAMS md:s >",
                      "GROUP g c BLOCK 5 STREAMS md:s $", "GROUP g c BLOCK 5 STREAMS md:s md:none > x", "GROUP g c BLOCK 5 STREAMS md:none x",
                      "GROUP g c BLOCK 5 COUNT x STREAMS md:s >", "BLOCK 5 STREAMS md:s >"):
            request = ("XREADGROUP", *words.split())
            self.assertEqual(client.call_raw(*request), redis.call_raw(*request), words)

    def test_within_multi_it_is_passed_on(self):
        client, redis = self.connect(), self.connect(to=self.stack.marketdata)
        redis.call("XADD", "md:s", "1-1", "a", "b")
        redis.call("XGROUP", "CREATE", "md:s", "g", "0")
        redis.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "md:s", ">")
        for words in ("XREAD BLOCK 0 STREAMS md:s +", "XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS md:s 0", "XREAD BLOCK 0 STREAMS md:s $",
                      "XREADGROUP GROUP g c BLOCK 0 CLAIM 1 STREAMS md:s >"):
            replies = []
            for connection in (client, redis):
                connection.call("MULTI")
                queued = connection.call(*words.split())
                replies.append((queued, connection.call_raw("EXEC")))
            self.assertEqual(*replies, words)


class UnknownOptionTest(FakeStackTest):
    """A Redis that knows options of reads that the daemon does not."""

    def test_it_waits_on_a_connection_of_its_own(self):
        asked, answer = [], threading.Event()

        def read(connection, words):
            asked.append((connection, words))
            answer.wait(20)
            return b"*1\r\n*2\r\n$4\r\nmd:s\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"

        self.fake.commands[b"XREADGROUP"] = read
        for options in (("BLOCK", 20_000, "CLAIM", 10), ("CLAIM", 10, "BLOCK", 0), ("NEWER", "BLOCK", 20_000)):
            answer.clear()
            before, reader = len(asked), self.connect()
            request = ("XREADGROUP", "GROUP", "g", "c", *options, "STREAMS", "md:s", ">")
            reader.send(*request)
            wait_for(lambda n=before: len(asked) > n, f"{options} is asked")
            self.assertEqual(asked[-1][1], [str(word).upper().encode() for word in request])
            self.assertEqual(self.get("md:plain"), b"plain", "others need not wait behind it")
            answer.set()
            self.assertEqual(reader.read(), [[b"md:s", [[b"1-1", [b"a", b"b"]]]]])
        del self.fake.commands[b"XREADGROUP"]
        # Over several buses nobody could carry it out.
        self.assertEqual(self.connect().call("XREADGROUP", "GROUP", "g", "c", "BLOCK", 1, "CLAIM", 10, "STREAMS", "s", ">"),
                         "ERR dualbus: option 'CLAIM' not supported on logical stream 's'")


if __name__ == "__main__":
    unittest.main()
