"""Several workers behind one port, and a configuration that changes while all of them work."""
import os
import threading
import time
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, merge, running, stored, wait_for
from support.resp import encode


class WorkersTest(StackTest):
    config = {"workers": 2}

    def test_client_list_and_info_cover_the_clients_of_all_workers(self):
        clients = [self.connect(2 + number % 2) for number in range(40)]
        ids = {client.call("CLIENT", "ID") for client in clients}
        self.assertEqual(len(ids), 40)
        self.assertEqual(self.daemon.metrics().value("dualbus_workers"), 2)
        for client in clients[::5]:
            listed = client.call("CLIENT", "LIST").decode().splitlines()
            self.assertEqual({int(line.split()[0].removeprefix("id=")) for line in listed}, ids)
            self.assertIn(b"connected_clients:40\r\n", client.call("INFO", "clients"))
        before = self.total_commands(clients[0])
        for client in clients:
            self.assertEqual(client.pipeline([("SET", "md:k", 1)] * 5), ["OK"] * 5)
        # INFO itself may or may not be counted before it is answered.
        self.assertIn(self.total_commands(clients[1]) - before, range(200, 203))

    @staticmethod
    def total_commands(client):
        text = client.call("INFO", "stats").decode()
        return int(text.split("total_commands_processed:")[1].split("\r\n")[0])

    def test_client_kill_reaches_the_clients_of_all_workers(self):
        clients = [self.connect() for _ in range(30)]
        ids = [client.call("CLIENT", "ID") for client in clients]
        self.assertEqual([clients[0].call("CLIENT", "KILL", "ID", number) for number in ids[1:11]], [1] * 10)
        wait_for(lambda: all(client.is_closed() for client in clients[1:11]), "ten are closed")
        self.assertEqual(clients[0].call("CLIENT", "KILL", "TYPE", "normal"), 19)
        self.assertEqual(clients[0].call("PING"), "PONG")
        self.assertEqual(len(clients[0].call("CLIENT", "LIST").splitlines()), 1)

    def test_no_message_stands_within_the_reply_to_exec(self):
        subscriber, stop = self.connect(3), threading.Event()
        subscriber.call("SUBSCRIBE", "channel")

        def publish():
            with self.stack.engine_logic.connect() as publisher:
                while not stop.is_set():
                    publisher.pipeline([("PUBLISH", "channel", "x")] * 50)

        with running(publish):
            try:
                for request in (("CLIENT", "LIST"), ("SLOWLOG", "LEN"), ("INFO", "server")) * 30:
                    subscriber.send_raw(encode("MULTI") + encode(*request) + encode("EXEC"))
                    replies = []
                    while len(replies) < 3:
                        reply = subscriber.read()
                        if not isinstance(reply, resp.Push):
                            replies.append(reply)
                    self.assertEqual(replies[:2], ["OK", "QUEUED"])
                    self.assertNotIsInstance(replies[2][0], resp.Push, request)
            finally:
                stop.set()

    def test_work_questions_scrapes_and_clients_that_come_and_go_at_the_same_time(self):
        stop = threading.Event()

        def publish(number):
            with self.daemon.connect(protocol=2 + number % 2) as client:
                for count in range(150):
                    replies = client.pipeline([("XADD", f"s{number}", "*", "message_type", ("market_data", "risk_x")[count % 2], "n", count),
                                               ("XRANGE", f"s{number}", "-", "+", "COUNT", 2), ("MSET", f"md:{number}", count, f"x{number}", count),
                                               ("MGET", f"md:{number}", f"x{number}"), ("INCR", f"n{number}")])
                    assert replies[3] == [b"%d" % count] * 2 and replies[4] == count + 1, replies

        def ask():
            while not stop.is_set():
                with self.daemon.connect() as client:
                    client.send_raw(encode("CLIENT", "LIST") + encode("INFO") + encode("PING"))
                    assert b"id=" in client.read()
                    if time.monotonic_ns() % 2:
                        client.abort()
                        continue
                    assert b"redis_version" in client.read() and client.read() == "PONG"

        def scrape():
            while not stop.is_set():
                assert self.daemon.metrics().value("dualbus_workers") == 2

        with running(ask), running(ask), running(scrape):
            threads = []
            failures = []

            def guarded(number):
                try:
                    publish(number)
                except BaseException as error:  # pylint: disable=broad-except
                    failures.append(error)

            for number in range(8):
                threads.append(threading.Thread(target=guarded, args=(number,), daemon=True))
                threads[-1].start()
            for thread in threads:
                thread.join()
            stop.set()
        self.assertEqual(failures, [])
        for number in range(8):
            self.assertEqual([self.client(bus).xlen(f"s{number}") for bus in self.stack.buses.values()], [75, 75])


class ReloadTest(StackTest):
    config = {"workers": 2}

    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: self.daemon.reload(self.stack.config))

    def routed(self, message_type, bus):
        """The configuration with that one rule for types."""
        types = {name: [message_type] if name == bus else [] for name in self.stack.buses}
        return merge(self.stack.config, {"routing": {"types": types}})

    def test_routing_changes_between_requests_and_no_client_is_dropped(self):
        stop, failures = threading.Event(), []
        published = [[] for _ in range(6)]
        self.daemon.reload(self.routed("wanderer", MARKETDATA))

        def publish(number):
            try:
                with self.daemon.connect(protocol=2 + number % 2) as client:
                    while not stop.is_set():
                        for reply in client.pipeline([("XADD", f"s{number}", "*", "message_type", "wanderer", "x", "y" * 100)] * 10):
                            published[number].append(stored(reply))
            except BaseException as error:  # pylint: disable=broad-except
                failures.append(error)

        threads = [threading.Thread(target=publish, args=(number,), daemon=True) for number in range(6)]
        for thread in threads:
            thread.start()

        def all_are_on(bus):
            counts = [len(each) for each in published]
            wait_for(lambda: failures or all(len(each) > count + 20 for each, count in zip(published, counts)), "more messages")
            return failures or all(entry[0] == bus for each in published for entry in each[-10:])

        wait_for(lambda: failures or all(published), "all publish")
        accepted = self.daemon.metrics().value("dualbus_clients_accepted_total")
        for bus in (ENGINE_LOGIC, MARKETDATA) * 3:
            self.daemon.reload(self.routed("wanderer", bus))
            wait_for(lambda bus=bus: all_are_on(bus), f"all messages go to {bus}")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.daemon.metrics().value("dualbus_clients_accepted_total"), accepted)
        for bus, server in self.stack.buses.items():
            for number, each in enumerate(published):
                there = [entry.decode() for entry, _ in self.client(server).xrange(f"s{number}")]
                self.assertEqual(there, [entry for where, entry in each if where == bus], "lost, doubled, or out of order")

    def test_a_bad_file_changes_nothing_and_all_its_mistakes_are_reported(self):
        client = self.connect()
        failures = self.daemon.metrics().value("dualbus_config_reloads_total", result="failure")
        broken = self.routed("market_data", ENGINE_LOGIC)
        broken["lisen"] = {"port": 1}
        broken["limits"] = {"max_clients": 0, "max_request": "lots"}
        broken["routing"]["default_bus"] = "engin_logic"
        broken["routing"]["keys"].append({"match": "x*", "bus": "nosuch"})
        self.daemon.reload(broken)
        log = self.daemon.full_log()
        for words in (r":\d+:\d+: lisen: unknown key 'lisen', did you mean 'listen'\?", r":\d+:\d+: limits\.max_clients: ", r":\d+:\d+: limits\.max_request: ",
                      r":\d+:\d+: routing\.default_bus: unknown bus 'engin_logic', did you mean 'engine_logic'\?",
                      r":\d+:\d+: routing\.keys\[2\]\.bus: unknown bus 'nosuch'",
                      r"5 mistake\(s\), nothing was changed"):
            self.assertRegex(log, words)
        self.assertEqual(self.daemon.metrics().value("dualbus_config_reloads_total", result="failure"), failures + 1)
        self.assertEqual(self.daemon.metrics().value("dualbus_config_last_reload_successful"), 0)
        self.assertEqual(stored(client.call("XADD", "s", "*", "message_type", "market_data"))[0], MARKETDATA)
        for text in ("", "{", "- just\n- a list\n", "\0\1\2", "a: &x [*x]\n"):
            self.daemon.reload(text)
            self.assertEqual(client.call("PING"), "PONG")
        self.assertEqual(self.daemon.metrics().value("dualbus_config_reloads_total", result="failure"), failures + 6)
        before = self.daemon.metrics().value("dualbus_config_reloads_total")
        os.remove(self.daemon.config_path)
        self.daemon.signal(1)
        wait_for(lambda: self.daemon.metrics().value("dualbus_config_reloads_total") == before + 1, "a reload without a file")
        self.assertEqual(stored(client.call("XADD", "s", "*", "message_type", "market_data"))[0], MARKETDATA)
        self.daemon.reload(self.routed("market_data", ENGINE_LOGIC))
        self.assertEqual(self.daemon.metrics().value("dualbus_config_last_reload_successful"), 1)
        wait_for(lambda: stored(client.call("XADD", "s", "*", "message_type", "market_data"))[0] == ENGINE_LOGIC, "the good file counts")

    def test_a_slot_that_changes_refuses_everything_else_too(self):
        client = self.connect()
        changed = merge(self.routed("market_data", ENGINE_LOGIC), {"workers": 3, "listen": {"backlog": 7}, "buses": {MARKETDATA: {"id_slot": 9}}})
        self.daemon.reload(changed)
        self.assertRegex(self.daemon.full_log(), r"buses\.marketdata\.id_slot: cannot change from 1 to 9")
        self.assertEqual(self.daemon.metrics().value("dualbus_config_last_reload_successful"), 0)
        self.assertEqual(stored(client.call("XADD", "s", "*", "message_type", "market_data"))[0], MARKETDATA)

    def test_limits_and_times_change_at_run_time(self):
        config = merge(self.stack.config, {"limits": {"max_clients": 3, "max_request": "64kb", "idle_timeout": "1s"},
                                           "buses": {bus: {"latency_target": "1us"} for bus in self.stack.buses}})
        clients = [self.connect() for _ in range(3)]
        self.daemon.reload(config)
        self.assertEqual(self.daemon.metrics().value("dualbus_latency_target_seconds", bus=MARKETDATA), 1e-6)
        with self.counted("dualbus_latency_target_missed_total", bus=MARKETDATA) as missed:
            for _ in range(50):
                self.assertIsNone(clients[0].call("GET", "md:k"))
            self.assertGreaterEqual(missed.value, 40)
        self.assertEqual(self.connect().read_rest(), b"-ERR max number of clients reached\r\n")
        clients[1].send_raw(encode("SET", "k", b"x" * 100000))
        self.assertRegex(clients[1].read_rest(), b"^-ERR Protocol error: ")
        self.assertEqual(clients[0].call("CONFIG", "GET", "maxclients"), [b"maxclients", b"3"])
        wait_for(lambda: clients[0].call("PING") == "PONG" and clients[2].is_closed(), "the idle one is closed")
        # A connection that holds half a request has the new limits, too.
        half = resp.Connection(self.daemon.address)
        self.addCleanup(half.close)
        half.send_raw(b"*3\r\n$3\r\nSET\r\n")
        self.assertEqual(clients[0].call("PING"), "PONG")
        self.daemon.reload(merge(config, {"limits": {"max_request": "128kb", "idle_timeout": 0}}))
        half.send_raw(b"$1\r\nk\r\n$100000\r\n" + b"x" * 100000 + b"\r\n")
        self.assertIn(half.read_raw()[:4], (b"+OK\r", b"-ERR"))

    def test_reloads_in_quick_succession_under_load(self):
        stop, failures = threading.Event(), []

        def work(number):
            try:
                with self.daemon.connect() as client:
                    while not stop.is_set():
                        for reply in client.pipeline([("XADD", "s", "NOMKSTREAM", "*", "message_type", "market_data"), ("XRANGE", "s", "-", "+", "COUNT", 1),
                                                      ("DEL", "s", f"md:{number}"), ("EXISTS", "s", "md:1"), ("PING",)]):
                            assert not isinstance(reply, resp.ReplyError), reply
            except BaseException as error:  # pylint: disable=broad-except
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        reloads = self.daemon.metrics().value("dualbus_config_reloads_total", result="success")
        for number in range(30):
            self.daemon.reload(self.routed(f"type_{number}", (MARKETDATA, ENGINE_LOGIC)[number % 2]))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.daemon.metrics().value("dualbus_config_reloads_total", result="success"), reloads + 30)


if __name__ == "__main__":
    unittest.main()
