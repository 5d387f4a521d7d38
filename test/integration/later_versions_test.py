"""Requests that Redis 7.0 refuses for their number of arguments, and later versions may take: the bus is the judge."""
import unittest

from support.fake_redis import FakeStackTest
from support.harness import StackTest


class NewerBusTest(FakeStackTest):
    """The bus marketdata takes anything."""

    def test_what_one_bus_gets_as_it_is_may_have_more_arguments_than_redis_7_0_takes(self):
        client = self.connect()
        for words in ("ZRANK md:z m WITHSCORE", "ZREVRANK md:z m WITHSCORE", "LMOVE md:a md:b LEFT LEFT LATER", "INCR md:n LATER",
                      "TTL md:k LATER", "XLEN md:s LATER", "TYPE md:k LATER"):
            self.assertEqual(client.call(*words.split()), "OK", words)

    def test_what_the_daemon_must_understand_may_not(self):
        client = self.connect()
        for words in ("TTL k LATER", "XLEN s LATER", "TYPE k LATER", "DUMP s LATER", "KEYS * LATER", "ECHO a LATER", "TIME LATER", "PUBLISH c m LATER",
                      "BLMOVE md:a md:b LEFT LEFT 0 LATER", "RENAME md:a k LATER"):
            name = words.split()[0].lower()
            self.assertEqual(client.call(*words.split()), f"ERR wrong number of arguments for '{name}' command", words)

    def test_too_few_are_refused_by_the_daemon(self):
        client = self.connect()
        for words in ("ZRANK md:z", "INCR", "LMOVE md:a md:b LEFT"):
            name = words.split()[0].lower()
            self.assertEqual(client.call(*words.split()), f"ERR wrong number of arguments for '{name}' command", words)


class OldBusTest(StackTest):
    def test_a_bus_that_does_not_know_them_says_so_in_redis_s_words(self):
        client = self.connect()
        for words in ("GET md:k LATER", "ZRANK md:z m LATER", "LMOVE md:a md:b LEFT LEFT LATER"):
            name = words.split()[0].lower()
            self.assertEqual(client.call(*words.split()), f"ERR wrong number of arguments for '{name}' command", words)

    def test_within_a_transaction_they_are_refused_at_once_as_redis_does(self):
        for key in ("md:k", "k"):
            self.assertEqual(self.connect().pipeline([("MULTI",), ("SET", key, 1), ("GET", key, "LATER"), ("EXEC",), ("EXISTS", key)])[2:],
                             ["ERR wrong number of arguments for 'get' command", "EXECABORT Transaction discarded because of previous errors.", 0])


if __name__ == "__main__":
    unittest.main()
