"""A drained Redis is left alone: nobody watches it, and what somebody adds there all the same is delivered."""
import unittest

from support.draining_stack import DrainingStackTest
from support.harness import wait_for
from support.resp import encode


class RestTest(DrainingStackTest):
    def connections(self):
        """Those that stay: a check and a poll of INFO close theirs."""
        return [client["name"] for client in self.old.client_list()].count("dualbusd")

    def leave_alone(self):
        wait_for(lambda: self.connections() == 1, "only requests have a connection")

    def waiting_reader(self):
        reader = self.connect()
        reader.send_raw(encode("XREADGROUP", "GROUP", "g", "c", "NOACK", "BLOCK", 0, "STREAMS", "s", ">"))
        other = self.connect()
        wait_for(lambda: b"flags=b" in other.call("CLIENT", "LIST"), "it waits")
        return reader

    def setUp(self):
        super().setUp()
        self.old.xgroup_create("s", "g", "$", mkstream=True)
        wait_for(lambda: self.bus()["streams"] == {"total": 1, "drained": 1}, "it is drained again")

    def test_who_waits_gets_what_is_added_there_directly(self):
        reader = self.waiting_reader()
        self.leave_alone()
        for number in range(2):
            added = self.old.xadd("s", {"number": number})
            (_, entries), = reader.read()
            self.assertEqual(entries, [[added, [b"number", b"%d" % number]]])
            reader = self.waiting_reader()
            self.wait_drained()
            self.leave_alone()
        added = self.connect().call("XADD", "s", "*", "message_type", "market_data")
        (_, ((found, _),)), = reader.read()
        self.assertEqual(found, added)

    def test_it_is_watched_again_while_it_is_not_drained(self):
        self.old.xgroup_create("quiet", "g", "$", mkstream=True)
        reader = self.connect()
        reader.send_raw(encode("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "quiet", ">"))
        self.wait_drained()
        self.leave_alone()
        self.old.xgroup_create("s", "other", "0")
        self.old.xadd("s", {"for": "both"})
        wait_for(lambda: self.connections() == 2, "the watcher is back")
        self.old.xgroup_destroy("s", "other")
        self.connect().call("XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "s", ">")
        self.wait_drained()
        self.leave_alone()

    def test_polls_are_absorbed_as_on_other_buses(self):
        client = self.connect()
        self.waiting_reader()  # of the same group, so that watchers are there
        self.leave_alone()
        poll = ("XREADGROUP", "GROUP", "g", "poller", "COUNT", 1, "STREAMS", "s", ">")

        def reads():
            return self.old.info("commandstats").get("cmdstat_xreadgroup", {"calls": 0})["calls"]

        def absorbed():
            before, absorbed_before = reads(), self.daemon.metrics().value("dualbus_polls_absorbed_total")
            for _ in range(20):
                self.assertIsNone(client.call(*poll))
            grown = self.daemon.metrics().value("dualbus_polls_absorbed_total") - absorbed_before
            return reads() - before <= 2 and grown >= 15
        wait_for(absorbed, "polls do not reach it")

    def test_a_stream_that_belongs_there_is_watched(self):
        self.old.xgroup_create("legacy:s", "g", "$", mkstream=True)
        self.checked()
        reader = self.connect()
        reader.send_raw(encode("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "legacy:s", ">"))
        wait_for(lambda: self.connections() == 2, "it has a watcher")
        self.wait_drained()
        self.assertEqual(self.connections(), 2)
        added = self.old.xadd("legacy:s", {"a": "b"})
        self.assertEqual(reader.read()[0][1][0][0], added)


if __name__ == "__main__":
    unittest.main()
