"""A bus whose master is found through real Sentinels, and that goes on with another master: T1 to T4, see docs/invariants.md."""
import collections
import os
import shutil
import tempfile
import threading
import unittest

import redis

from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, Redis, make_config, merge, wait_for
from support.island import Island
from support.resp import ReplyError
from support.sentinels import MASTER, REDIS_PASSWORD, SENTINEL_PASSWORD, Topology
from support.stream_load import TYPES, Consumer, Producer

# Requests wait for as long as a failover may take: then none is refused.
PATIENT = {"backend": {"reconnect_wait": "60s", "connect_timeout": "500ms", "backoff_max": "200ms"}}


class SentinelTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.engine_logic = Redis(ENGINE_LOGIC, self.directory).start()
        self.addCleanup(self.engine_logic.kill)
        self._files = 0

    def password_file(self, text):
        self._files += 1
        path = os.path.join(self.directory, f"password{self._files}")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        return path

    def make(self, changes=None, **options):
        """Servers, Sentinels and the configuration of a daemon before them."""
        self.topology = Topology(self, self.directory, **options)
        config = make_config({MARKETDATA: "", ENGINE_LOGIC: self.engine_logic.endpoint})
        del config["buses"][MARKETDATA]["endpoint"]
        config["buses"][MARKETDATA].update(self.topology.settings(self.password_file))
        self.config = merge(config, changes or {})
        return self.topology

    def start(self, page="/readyz?all"):
        self.daemon = Daemon(self.directory, self.config)
        self.addCleanup(self.daemon.kill)
        self.daemon.start(page)
        self.addCleanup(self.end, self.daemon)

    def end(self, daemon):
        if daemon.process.poll() is None:  # else the test has ended it, and has seen how
            wait_for(daemon.gauges_are_zero, "gauges at zero")
            self.assertEqual(daemon.terminate(), 0, daemon.log()[-4000:])
        self.assertEqual(daemon.sanitizer_report(), "")
        for password in (REDIS_PASSWORD, SENTINEL_PASSWORD):
            self.assertNotIn(password, daemon.log())

    def connect(self, **options):
        client = self.daemon.connect(**{"timeout": 60, **options})
        self.addCleanup(client.close)
        return client

    def await_at(self, server):
        """Until the daemon uses that server."""
        self.daemon.wait_for_log(rf"bus '{MARKETDATA}': is at {server.endpoint} now")
        wait_for(lambda: self.daemon.fetch("/readyz?all")[0] == 200, "ready")

    def names_on(self, server, key="s"):
        with server.client() as client:
            return [fields[b"name"] for _, fields in client.xrange(key)]


class UnderLoad(SentinelTest):
    def begin(self, changes=None, **options):
        self.make(merge({**PATIENT, "routing": {"channels": [{"match": "md-news", "bus": MARKETDATA}]}}, changes or {}), **options)
        self.start()
        self.master = self.topology.servers[0]
        waiting, subscriber = self.connect(), self.connect(protocol=3)
        for key, group in (("s", "g"), ("quiet", "g")):
            self.assertEqual(waiting.call("XGROUP", "CREATE", key, group, "0", "MKSTREAM"), "OK")
        subscriber.call("SUBSCRIBE", "md-news")
        waiting.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "quiet", ">")
        self.waiting, self.subscriber = waiting, subscriber
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")
        self.producers = [Producer(self.daemon.address, "s", f"p{number}", types=TYPES[MARKETDATA], protocol=2 + number % 2).start()
                          for number in range(3)]
        self.consumers = [Consumer(self.daemon.address, "s", "g", f"c{number}", count=100, block=500).start() for number in range(2)]
        for runner in (*self.producers, *self.consumers):
            self.addCleanup(runner.end)
        self.await_progress()

    def await_progress(self):
        """Until everybody has done something since now."""
        made = [len(producer.acknowledged) for producer in self.producers]
        got = sum(len(consumer.received) for consumer in self.consumers)
        wait_for(lambda: all(len(producer.acknowledged) > before + 20 for producer, before in zip(self.producers, made))
                 and sum(len(consumer.received) for consumer in self.consumers) > got + 60, f"the load goes on\n{self.daemon.log()[-2000:]}")

    def finish(self, master):
        """Ends the load and checks what has become of it on the present master."""
        self.await_at(master)
        self.await_progress()
        for producer in self.producers:
            producer.stop()
        stored = self.names_on(master)
        received = lambda: {name for consumer in self.consumers for _, name in consumer.received}  # noqa: E731
        try:
            wait_for(lambda: set(stored) <= received(), "T4: all that the new master has is delivered")
        except AssertionError:
            self.fail(f"T4: never delivered: {sorted(set(stored) - received())[:10]}")
        for consumer in self.consumers:
            consumer.stop()
        # T1: whatever may have run was not sent again, and what was refused was not sent at all.
        self.assertEqual([name for name, count in collections.Counter(stored).items() if count > 1], [], "T1: stored twice")
        refused = [name for producer in self.producers for name in producer.refused]
        self.assertEqual(set(refused) & set(stored), set(), "T1: refused and stored")
        self.assertEqual([reply for producer in self.producers for reply in producer.unexpected if not reply.startswith("UNCONFIRMED stored ")], [])
        # T4: a delivery that the new master does not know of cannot be acknowledged there; the entry comes again, if it has it.
        self.assertEqual([reply for consumer in self.consumers for reply in consumer.unexpected if not reply.startswith("XACK of ")], [])
        # T2: requests that had to wait were carried out by the new master.
        self.assertEqual(refused, [], "T2: a request that waited was refused")
        with self.daemon.connect() as client:
            client.call("XADD", "quiet", "*", "message_type", "market_data", "name", "wake")
            wait_for(lambda: client.call("PUBLISH", "md-news", "message") == 1, "T2: the subscriber is heard")
        self.assertEqual(self.waiting.read()[0][1][0][1][-1], b"wake", "T2: the reader that waited all the time")
        self.assertEqual(self.subscriber.read(), [b"message", b"md-news", b"message"])
        return stored


class FailoverUnderLoadTest(UnderLoad):
    def test_T1_T2_T4_the_master_is_killed(self):
        self.begin()
        self.master.kill()
        self.finish(self.topology.await_other_master(self.master))
        self.assertGreaterEqual(self.daemon.metrics().value("dualbus_failovers_total", bus=MARKETDATA), 1)

    def test_T1_T2_T4_the_master_stops_and_comes_back(self):
        self.begin()
        self.master.pause()
        self.addCleanup(self.master.proceed)
        successor = self.topology.await_other_master(self.master)
        self.await_at(successor)
        self.await_progress()
        known = {producer: len(producer.times) for producer in self.producers}
        self.await_progress()
        later = {name for producer, count in known.items() for name in list(producer.times)[count:]}
        self.assertGreater(len(later), 0)
        self.master.proceed()
        # For a while it takes itself for the master; then the Sentinels make it a replica, which gets everything.
        def is_master(client):
            return client.role()[0] == b"master"

        looks = 0
        with self.master.client() as client:
            try:
                while is_master(client):
                    names = {fields[b"name"] for _, fields in client.xrange("s")}
                    if is_master(client):
                        self.assertEqual(names & later, set(), "written to the old master after the daemon knew the new one")
                        looks += 1
            except redis.RedisError:
                pass  # the Sentinels close all its connections when they make it a replica
        self.assertGreater(looks, 0)
        self.finish(successor)

    def test_T1_T2_T4_another_server_is_promoted_by_hand_and_again(self):
        self.begin()
        before = self.master
        for _ in range(2):
            self.topology.failover()
            before = self.topology.await_other_master(before)
            self.await_at(before)
            self.await_progress()
            wait_for(self.topology.complete, "all servers are there again")
        self.finish(before)

    def test_T2_sentinels_are_lost_one_by_one(self):
        self.begin()
        metrics = self.daemon.metrics
        wait_for(lambda: metrics().value("dualbus_sentinel_up", bus=MARKETDATA) == 1, "a Sentinel answers")
        self.topology.sentinels[0].kill()
        self.topology.failover()
        successor = self.topology.await_other_master(self.master)
        self.await_at(successor)
        self.await_progress()
        self.topology.sentinels[1].pause()
        self.addCleanup(self.topology.sentinels[1].proceed)
        self.topology.sentinels[2].kill()
        wait_for(lambda: metrics().value("dualbus_sentinel_up", bus=MARKETDATA) == 0, "the loss is noticed")
        self.daemon.wait_for_log("no Sentinel names a master: a failover is not noticed")
        self.await_progress()  # the master is there all the same
        self.topology.sentinels[2].start()
        wait_for(lambda: metrics().value("dualbus_sentinel_up", bus=MARKETDATA) == 1, "it answers again")
        self.finish(successor)


class CutOffTest(UnderLoad):
    """The master lives on behind a cable that is cut, and takes itself for the master for some seconds when it is mended."""

    def setUp(self):
        self.island = Island(self)
        super().setUp()

    def stored_behind_the_cable(self):
        with self.master.local_client() as client:
            return {fields[b"name"] for _, fields in client.xrange("s")}, client.role()[0]

    def test_T1_to_T5_the_master_is_cut_off_and_comes_back(self):
        self.begin({"buses": {MARKETDATA: {"acknowledge": {"replicas": 1, "timeout": "2s"}}}}, island=self.island)
        self.island.cut()
        successor = self.topology.await_other_master(self.master)
        self.await_at(successor)
        self.await_progress()
        known = {producer: len(producer.times) for producer in self.producers}
        self.await_progress()
        later = {name for producer, count in known.items() for name in list(producer.times)[count:]}
        # T3: what the old master has and the new one lacks is nothing to anybody.
        with self.master.local_client() as client:
            client.xadd("s", {"message_type": "market_data", "name": "stray"})
        before, role = self.stored_behind_the_cable()
        self.assertEqual(role, b"master")
        self.island.mend()
        arrived, looks = set(), 0
        while True:
            try:
                names, role = self.stored_behind_the_cable()
            except redis.RedisError:
                continue  # the Sentinels close all its connections when they make it a replica
            if role != b"master":
                break
            arrived |= names - before
            looks += 1
        self.assertGreater(looks, 0)
        # Bytes that were on their way when the cable was cut may arrive now, and nothing that was sent later.
        self.assertEqual(arrived & later, set(), "written to the old master after the daemon knew the new one")
        unknown = {name for producer in self.producers for name in producer.unknown}
        self.assertEqual(arrived - unknown, set(), "T1: its sender was not told that it may have run")
        stored = set(self.finish(successor))
        self.assertEqual(arrived & stored, set(), "T1: carried out by both")
        answered = {name for producer in self.producers for name in producer.acknowledged}
        self.assertEqual(answered - stored, set(), "T5: answered with an ID, and lost")
        self.assertNotIn(b"stray", {name for consumer in self.consumers for _, name in consumer.received})
        wait_for(lambda: self.stored_behind_the_cable() == (stored, b"slave"), "the old master has what the new one has")


class FailoverTest(SentinelTest):
    def test_the_daemon_may_start_first(self):
        self.make({"backend": {"reconnect_wait": "100ms", "connect_timeout": "300ms"}}, started=False)
        self.start("/healthz")
        client = self.connect()
        self.assertTrue(client.call("XADD", "s", "*", "message_type", "market_data", "name", "x").startswith(
            f"BUSDOWN bus '{MARKETDATA}' is unreachable"))
        self.assertRegex(str(client.call("XADD", "s", "*", "message_type", "order_request", "name", "y")), r"\d+-\d+")
        self.assertIn(b"endpoint=master 'engines'", client.call("INFO", "buses"))
        self.assertEqual(self.daemon.fetch("/readyz?all")[0], 503)
        self.topology.start_sentinels()
        self.await_at(self.topology.servers[0])
        self.assertRegex(str(client.call("XADD", "s", "*", "message_type", "market_data", "name", "x")), r"\d+-\d+")
        # Wherever an endpoint is shown, it is the master's.
        endpoint = self.topology.servers[0].endpoint
        self.assertIn(f"endpoint={endpoint}".encode(), client.call("INFO", "buses"))
        wait_for(lambda: endpoint in self.daemon.fetch("/")[1], "the status page says where the master is")
        wait_for(lambda: self.daemon.metrics().matching("dualbus_bus_master_info", bus=MARKETDATA, address=endpoint), "the metric does")

    def test_masters_are_followed_without_an_admin_listener(self):
        self.make({**PATIENT, "admin": {"port": 0}})
        self.daemon = Daemon(self.directory, self.config)
        self.addCleanup(self.daemon.kill)
        self.daemon.launch([os.environ["DUALBUSD"], "--config", self.daemon.config_path], env=self.daemon.env)
        wait_for(lambda: "serving on" in self.daemon.log() or not self.daemon.running(), "the daemon serves")
        client = self.connect()
        self.assertEqual(client.call("SET", "md:x", 1), "OK")
        self.topology.servers[0].kill()
        self.assertEqual(client.call("SET", "md:y", 1), "OK")  # T2: it waits for the new master
        self.assertEqual(self.topology.named().client().get("md:y"), b"1")
        self.assertEqual(self.daemon.terminate(), 0)

    def test_T3_nothing_that_was_learnt_of_the_old_master_counts(self):
        self.make(merge(PATIENT, {"missing_group": "create", "absorb_ttl": "1m", "nogroup_ttl": "1m"}))
        self.start()
        a = self.topology.servers[0]
        client = self.connect()
        # The replicas do not get what follows: it will be lost with the master.
        for replica in self.topology.servers[1:]:
            replica.client().config_set("masterauth", "wrong")
        a.client().client_kill_filter(_type="slave")
        wait_for(lambda: a.client().info("replication")["connected_slaves"] == 0, "the replicas are cut off")
        for key in ("s", "t"):
            self.assertEqual(client.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM"), "OK")
        client.call("XADD", "s", "*", "message_type", "market_data", "name", "lost")
        poll = ("XREADGROUP", "GROUP", "g", "c", "COUNT", 10, "STREAMS", "s", ">")
        client.call(*poll)
        reader = self.connect()
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "t", ">")
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")

        def absorbed():
            self.assertIsNone(client.call(*poll))
            return self.daemon.metrics().value("dualbus_polls_absorbed_total", bus=MARKETDATA) > 0
        wait_for(absorbed, "polls are answered from memory")
        a.kill()
        successor = self.topology.await_other_master(a)
        for replica in self.topology.servers[1:]:
            replica.client().config_set("masterauth", REDIS_PASSWORD)
        # Somebody else adds entries there, to streams whose groups that server does not have.
        with successor.client() as direct:
            # The daemon may be there already, and may have made the groups.
            self.assertEqual((direct.xlen("s"), direct.xlen("t")), (0, 0))
            direct.xadd("s", {"message_type": "market_data", "name": "new"})
            direct.xadd("t", {"message_type": "market_data", "name": "new"})
        self.await_at(successor)
        names = wait_for(lambda: [flat[-1] for _, found in client.call(*poll) or [] for _, flat in found], "a poll sees it")
        self.assertEqual(names, [b"new"])
        self.assertEqual([flat[-1] for _, found in reader.read() for _, flat in found], [b"new"])
        with successor.client() as direct:
            self.assertEqual([group["name"] for group in direct.xinfo_groups("s")], [b"g"])

    def test_BLPOP_and_EXEC_end_with_the_old_master(self):
        self.make(PATIENT)
        self.start()
        a = self.topology.servers[0]
        blocked, watching = self.connect(), self.connect()
        blocked.send("BLPOP", "md:list", 0)
        self.assertEqual(watching.call("WATCH", "md:key"), "OK")
        a.pause()
        self.addCleanup(a.proceed)
        self.await_at(self.topology.await_other_master(a))
        reply = blocked.read()
        self.assertIsInstance(reply, ReplyError)
        self.assertRegex(reply, "^BUSLOST|^UNBLOCKED")
        self.assertEqual(watching.call("MULTI"), "OK")
        watching.call("SET", "md:key", 1)
        answer = watching.call("EXEC")
        self.assertTrue(answer is None or str(answer).startswith(("BUSLOST", "EXECABORT")), answer)
        # Nothing is left of it.
        self.assertEqual(watching.call("SET", "md:key", 2), "OK")

    def test_wrong_passwords_are_said_clearly(self):
        wrong = self.password_file("wrong")
        self.make({"backend": {"connect_timeout": "300ms"}})
        self.config["buses"][MARKETDATA]["sentinel"]["password_file"] = wrong
        self.start("/healthz")
        self.daemon.wait_for_log(rf"Sentinel 127\.0\.0\.1:\d+, asked for the master '{MASTER}', does not answer: AUTH: WRONGPASS")
        self.end(self.daemon)
        self.config["buses"][MARKETDATA]["sentinel"]["password_file"] = self.password_file(SENTINEL_PASSWORD)
        self.config["buses"][MARKETDATA]["password_file"] = wrong
        self.start("/healthz")
        self.daemon.wait_for_log(rf"the master is {self.topology.servers[0].endpoint}, which cannot be asked: AUTH: WRONGPASS")

    def test_a_reload_goes_on_with_the_present_master(self):
        self.make(PATIENT)
        self.start()
        a = self.topology.servers[0]
        a.kill()
        successor = self.topology.await_other_master(a)
        self.await_at(successor)
        client, stop, errors = self.connect(), threading.Event(), []

        def work():
            while not stop.is_set():
                reply = client.call("INCR", "md:n")
                if not isinstance(reply, int):
                    errors.append(reply)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        self.addCleanup(stop.set)
        for level in ("debug", "info"):
            self.daemon.reload(merge(self.config, {"log": {"level": level}}))
            self.assertEqual(self.daemon.metrics().value("dualbus_config_last_reload_successful"), 1, self.daemon.log()[-2000:])
        stop.set()
        worker.join(60)
        self.assertEqual(errors, [])
        self.assertNotIn(f"moves from {successor.endpoint}", self.daemon.log())


if __name__ == "__main__":
    unittest.main()
