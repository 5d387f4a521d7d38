"""Writes that are answered only when a replica has them (buses.*.acknowledge), and the order of requests around them: T5."""
import random
import select
import threading
import unittest

from changed_places_test import ChangingTest
from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, shown, stored, wait_for

LONG, SHORT = 20_000, 300  # milliseconds
ORDER = ("message_type", "order_request")
QUOTE = ("message_type", "quote")


def acknowledge(timeout=LONG, **more):
    return {"replicas": 1, "timeout": f"{timeout}ms", **more}


def configuration(timeout):
    """Orders wait on one bus, and every write on the other."""
    return {"buses": {ENGINE_LOGIC: {"acknowledge": acknowledge(timeout, types=["order_request", "risk_*"])},
                      MARKETDATA: {"acknowledge": acknowledge(timeout)}},
            "backend": {"request_timeout": "60s", "health_timeout": "70s"}}


class DurableTest(StackTest):
    timeout = LONG

    @classmethod
    def setUpClass(cls):
        cls.config = configuration(cls.timeout)
        super().setUpClass()
        cls.replicas = {name: cls.stack.add_redis("replica-" + name, "--replicaof", "127.0.0.1", str(bus.port))
                        for name, bus in cls.stack.buses.items()}

    def setUp(self):
        self.stopped = []
        for name, bus in self.stack.buses.items():
            self.online(bus)
            with bus.client() as client:
                client.flushall()
        self.addCleanup(self.stack.check, self)
        self.addCleanup(self.go_on)

    def online(self, bus):
        with bus.client() as client:
            wait_for(lambda: client.info("replication").get("slave0", {}).get("state") == "online", f"{bus.name} has its replica")

    def stop(self, name):
        self.replicas[name].pause()
        self.stopped.append(name)

    def go_on(self):
        while self.stopped:
            self.replicas[self.stopped.pop()].proceed()

    def waits(self, connection):
        """Nothing has come, though the bus has everything and somebody waits there."""
        self.assertEqual(select.select([connection.socket], [], [], 0)[0], [])

    def blocked(self, bus, count=1):
        with bus.client() as client:
            wait_for(lambda: client.info("clients")["blocked_clients"] == count, f"{count} wait at {bus.name}")

    def counted_by(self, name, bus=ENGINE_LOGIC):
        return self.counted(name, bus=bus)


class ConfirmedTest(DurableTest):
    def test_T5_an_entry_that_is_answered_is_on_the_replica(self):
        client = self.connect()
        replica = self.connect(to=self.replicas[ENGINE_LOGIC])
        with self.counted_by("dualbus_confirmed_writes_total") as confirmed, self.counted_by("dualbus_confirmations_total") as groups:
            for key in ("logical", "el:pinned"):
                for _ in range(50):
                    answer = client.call("XADD", key, "*", *ORDER)
                    number = answer.decode() if key == "el:pinned" else stored(answer)[1]
                    self.assertEqual(len(replica.call("XRANGE", key, number, number)), 1, answer)
            self.assertEqual((confirmed.value, groups.value), (100, 100))

    def test_T5_types_in_json_and_patterns_count(self):
        self.stop(ENGINE_LOGIC)
        for key in ("logical", "el:pinned"):
            for fields in (("payload", '{"message_type": "order_request"}'), ("message_type", "risk_metric")):
                client = self.connect()
                client.send("XADD", key, "*", *fields)
                self.blocked(self.stack.engine_logic)
                self.waits(client)
                self.go_on()
                self.assertRegex(client.read(), rb"\d+-\d+")
                self.stop(ENGINE_LOGIC)

    def test_T5_one_confirmation_covers_the_writes_of_all_who_came_meanwhile(self):
        first, others = self.connect(), [self.connect() for _ in range(20)]
        self.stop(ENGINE_LOGIC)
        first.send("XADD", "s", "*", *ORDER)
        self.blocked(self.stack.engine_logic)
        for client in others:
            client.send("XADD", "s", "*", *ORDER)
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_waiting", bus=ENGINE_LOGIC) == 20, "they gather")
        with self.counted_by("dualbus_confirmations_total") as groups, self.counted_by("dualbus_confirmed_writes_total") as confirmed:
            self.go_on()
            for client in (first, *others):
                self.assertRegex(client.read(), rb"\d+-\d+")
            self.assertEqual((groups.value, confirmed.value), (2, 21))

    def test_messages_of_other_types_and_reads_do_not_wait(self):
        durable, other = self.connect(), self.connect()
        self.stop(ENGINE_LOGIC)
        durable.send("XADD", "s", "*", *ORDER)
        self.blocked(self.stack.engine_logic)
        self.assertRegex(other.call("XADD", "s", "*", *QUOTE), rb"\d+-\d+")
        self.assertEqual(other.call("SET", "el:k", 1), "OK")
        self.assertEqual(other.call("XLEN", "s"), 2, "readers see an entry before its publisher is answered, as with WAIT")
        self.waits(durable)
        self.go_on()
        self.assertRegex(durable.read(), rb"\d+-\d+")

    def test_T5_without_types_every_write_to_the_bus_waits(self):
        self.stop(MARKETDATA)
        for request, answer in ((("SET", "md:k", 1), "OK"), (("XADD", "md:s", "1-1", *QUOTE), b"1-1"), (("INCR", "md:n"), 1),
                                (("EVAL", "return redis.call('INCR', KEYS[1])", 1, "md:n"), 2),
                                (("XGROUP", "CREATE", "md:s", "g", "$"), "OK")):
            client = self.connect()
            client.send(*request)
            self.blocked(self.stack.marketdata)
            self.waits(client)
            for read in (("GET", "md:k"), ("XREADGROUP", "GROUP", "none", "c", "STREAMS", "md:none", ">")):
                self.connect().call(*read)
            self.go_on()
            self.assertEqual(client.read(), answer)
            self.stop(MARKETDATA)

    def test_T5_exec_waits_for_what_it_adds(self):
        for commands, borrowed in (([("XADD", "el:s", "*", *ORDER)], False),
                                   ([("XADD", "s", "*", *ORDER), ("GET", "el:k"), ("XLEN", "el:s")], False),
                                   ([("XADD", "el:s", "*", *ORDER), ("GET", "md:k")], True)):
            client = self.connect()
            self.stop(ENGINE_LOGIC)
            client.send_raw(b"".join(resp.encode(*request) for request in (("MULTI", ), *commands, ("EXEC", ))))
            self.blocked(self.stack.engine_logic)
            self.go_on()
            for _ in range(len(commands) + 1):
                client.read()
            self.assertRegex(client.read()[0], rb"\d+-\d+", (commands, borrowed))

    def test_T5_watched_keys_do_not_keep_exec_from_waiting(self):
        client = self.connect()
        self.assertEqual(client.call("WATCH", "el:k"), "OK")
        self.stop(ENGINE_LOGIC)
        client.send_raw(b"".join(resp.encode(*request) for request in (("MULTI", ), ("XADD", "el:s", "*", *ORDER), ("EXEC", ))))
        self.blocked(self.stack.engine_logic)
        self.assertEqual([client.read(), client.read()], ["OK", "QUEUED"])
        self.waits(client)
        self.go_on()
        self.assertRegex(client.read()[0], rb"\d+-\d+")

    def test_a_parked_reader_gets_an_entry_that_is_not_confirmed_yet(self):
        reader, durable = self.connect(), self.connect()
        reader.send("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "it waits")
        self.stop(ENGINE_LOGIC)
        durable.send("XADD", "s", "*", *ORDER)
        self.assertEqual(len(reader.read()[0][1]), 1)
        self.go_on()
        durable.read()

    def test_nomkstream_waits_too(self):
        client = self.connect()
        self.assertIsNone(client.call("XADD", "s", "NOMKSTREAM", "*", *ORDER))
        with self.stack.marketdata.client() as bare:
            bare.xadd("s", {"f": "v"})
        self.stop(ENGINE_LOGIC)
        client.send("XADD", "s", "NOMKSTREAM", "*", *ORDER)
        self.blocked(self.stack.engine_logic)
        self.go_on()
        wait_for(lambda: select.select([client.socket], [], [], 0)[0], "an answer")
        self.assertRegex(client.read(), rb"\d+-\d+")

    def test_resp3_and_other_databases_have_connections_of_their_own(self):
        client = self.connect(protocol=3)
        self.assertRegex(client.call("XADD", "s", "*", *ORDER), rb"\d+-\d+")
        self.stop(ENGINE_LOGIC)
        client.send("XADD", "s", "*", *ORDER)
        self.blocked(self.stack.engine_logic)
        self.go_on()
        self.assertRegex(client.read(), rb"\d+-\d+")

    def test_T5_a_master_that_dies_before_it_has_confirmed_leaves_the_outcome_unknown(self):
        client = self.connect()
        self.stop(ENGINE_LOGIC)
        client.send("XADD", "s", "*", *ORDER)
        self.blocked(self.stack.engine_logic)
        self.stack.engine_logic.kill()
        self.assertEqual(client.read(), f"BUSLOST bus '{ENGINE_LOGIC}': connection lost after the command was sent, outcome unknown")
        self.stack.engine_logic.start()
        self.go_on()
        self.online(self.stack.engine_logic)
        self.await_connections()
        with self.stack.engine_logic.client() as bare:
            self.assertEqual(bare.xlen("s"), 0, "it was sent again")
        self.assertRegex(client.call("XADD", "s", "*", *ORDER), rb"\d+-\d+")


class UnconfirmedTest(DurableTest):
    timeout = SHORT

    def test_T5_too_few_replicas_in_time_are_an_error_that_names_the_entry(self):
        client = self.connect()
        self.stop(ENGINE_LOGIC)
        with self.counted_by("dualbus_unconfirmed_total") as unconfirmed, self.counted_by("dualbus_confirmations_total") as groups:
            answer = client.call("XADD", "s", "*", *ORDER)
            self.assertEqual((unconfirmed.value, groups.value), (1, 0))
        with self.stack.engine_logic.client() as bare:
            (number, _), = bare.xrange("s")
        self.assertEqual(answer, f"UNCONFIRMED stored on bus '{ENGINE_LOGIC}' as {shown(number, ENGINE_LOGIC)}: "
                                 f"0 of 1 replicas confirmed within {SHORT} ms")
        self.go_on()
        self.assertRegex(client.call("XADD", "s", "*", *ORDER), rb"\d+-\d+")
        self.assertIn(f"errorstat_UNCONFIRMED:count={int(self.daemon.metrics().value('dualbus_requests_total', outcome='unconfirmed'))}",
                      client.call("INFO", "errorstats").decode())

    def test_T5_other_writes_say_what_they_answered(self):
        client = self.connect()
        self.stop(MARKETDATA)
        rest = f": 0 of 1 replicas confirmed within {SHORT} ms"
        self.assertEqual(client.call("INCRBY", "md:n", 5), f"UNCONFIRMED stored on bus '{MARKETDATA}', answer 5{rest}")
        self.assertEqual(client.call("SET", "md:k", 1), f"UNCONFIRMED stored on bus '{MARKETDATA}', answer OK{rest}")
        self.assertEqual(client.call("GETDEL", "md:none"), f"UNCONFIRMED stored on bus '{MARKETDATA}'{rest}")

    def test_T5_in_a_transaction_each_such_write_says_so(self):
        client = self.connect()
        self.stop(ENGINE_LOGIC)
        for more in ((), (("GET", "md:k"), )):
            answers = client.pipeline((("MULTI", ), ("XADD", "el:s", "*", *ORDER), ("XADD", "el:s", "*", *QUOTE), ("SET", "el:k", 1),
                                       *more, ("EXEC", )))[-1]
            self.assertTrue(answers[0].startswith("UNCONFIRMED stored on bus"), answers)
            self.assertRegex(answers[1], rb"^\d+-\d+$")
            self.assertEqual(answers[2], "OK")

    def test_a_reload_changes_what_waits(self):
        client = self.connect()
        self.addCleanup(self.daemon.reload, self.daemon.config)
        self.stop(ENGINE_LOGIC)
        for settings, fields, waits in (({"replicas": 0}, ORDER, False), (acknowledge(SHORT, types=["quote"]), ORDER, False),
                                        (acknowledge(SHORT, types=["quote"]), QUOTE, True),
                                        (acknowledge(SHORT, types=["order_request"]), ORDER, True)):
            config = dict(self.daemon.config)
            config["buses"] = {**config["buses"], ENGINE_LOGIC: {**config["buses"][ENGINE_LOGIC], "acknowledge": settings}}
            self.daemon.reload(config)
            self.assertEqual(isinstance(client.call("XADD", "s", "*", *fields), resp.ReplyError), waits, settings)

    def test_T5_an_aof_that_cannot_confirm_is_said(self):
        self.addCleanup(self.daemon.reload, self.daemon.config)
        config = dict(self.daemon.config)
        config["buses"] = {**config["buses"], ENGINE_LOGIC: {**config["buses"][ENGINE_LOGIC],
                                                             "acknowledge": {"local": 1, "timeout": f"{SHORT}ms", "types": ["order_request"]}}}
        self.daemon.reload(config)
        answer = self.connect().call("XADD", "s", "*", *ORDER)
        self.assertRegex(answer, r"^UNCONFIRMED stored on bus 'engine_logic' as \d+-\d+: the bus does not say who has it: ERR ")


class OrderTest(DurableTest):
    """One client's pipelined requests are carried out in their order, over whatever connections they go."""

    KEYS = ("el:a", "el:b")

    def request(self, chance, number):
        key = chance.choice(self.KEYS)
        return chance.choice((
            ("XADD", key, f"{number}-1", *ORDER), ("XADD", key, f"{number}-1", *ORDER), ("XADD", key, f"{number}-1", *QUOTE),
            ("XLEN", key), ("XRANGE", key, "-", "+"), ("DEL", key), ("EXISTS", *self.KEYS), ("XTRIM", key, "MAXLEN", 2),
            ("SET", "el:n", number), ("GET", "el:n"), ("INCR", "el:n"), ("RENAME", *self.KEYS), ("PING", ),
            ("XREAD", "COUNT", 5, "STREAMS", key, "0"), ("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, key),
            ("XADD", key, "NOMKSTREAM", f"{number}-1", *ORDER), ("TYPE", key), ("XREAD", "BLOCK", 1, "STREAMS", key, "0"),
            ("MULTI", ), ("EXEC", ), ("WATCH", key), ("ECHO", number)))

    def test_T5_a_pipeline_is_answered_as_by_one_redis(self):
        bare_server = self.stack.add_redis("bare")
        for seed in range(40):
            chance = random.Random(seed)
            bare, client = bare_server.connect(), self.connect()
            bare.call("FLUSHALL")
            self.connect().pipeline([("DEL", key) for key in (*self.KEYS, "el:n")])
            requests = [self.request(chance, number) for number in range(1, 120)] + [("EXEC", )]
            data = b"".join(resp.encode(*request) for request in requests)
            bare.send_raw(data)
            client.send_raw(data)
            for number, request in enumerate(requests):
                self.assertEqual(client.read_raw(), bare.read_raw(), f"seed {seed}, {number}: {request}")
            bare.close()
            client.close()

    def test_T5_a_client_sees_its_own_write(self):
        client = self.connect()
        for _ in range(100):
            requests = []
            for _ in range(5):
                requests += [("XADD", "s", "*", *ORDER), ("XLEN", "s"), ("XADD", "s", "*", *QUOTE), ("XLEN", "s"), ("DEL", "s"), ("XLEN", "s")]
            answers = client.pipeline(requests)
            self.assertEqual([answer for answer in answers if isinstance(answer, int)], 5 * [1, 2, 1, 0])

    def test_T5_a_request_over_several_buses_comes_behind_the_write(self):
        client = self.connect()
        for _ in range(100):
            self.assertEqual(client.pipeline((("XADD", "s", "*", *ORDER), ("XLEN", "s"), ("DEL", "s", "t"), ("EXISTS", "s")))[1:], [1, 1, 0])


class MovingTest(ChangingTest):
    """A bus moves while writes wait for their confirmation (R1, T5)."""

    def setUp(self):
        super().setUp()
        self.replica = self.replica_of(self.marketdata, "replica")
        self.successor = self.redis("successor")
        self.replica_of(self.successor, "replica-of-successor")
        self.start({"buses": {MARKETDATA: {"acknowledge": acknowledge(types=["market_data"])}}, "backend": {"request_timeout": "60s", "health_timeout": "70s"}})

    def test_R1_T5_what_the_old_place_has_is_confirmed_there_and_new_writes_go_to_the_new_place(self):
        old, new = self.connect(), self.connect()
        self.replica.pause()
        self.addCleanup(self.replica.proceed)
        old.send_raw(b"".join(resp.encode("XADD", "md:s", "*", "message_type", "market_data", "n", number) for number in range(3)))
        with self.marketdata.client() as there:
            wait_for(lambda: there.info("clients")["blocked_clients"] == 1, "they wait for the replica")
        new.send("XADD", "md:s", "*", "message_type", "market_data", "n", "new")
        wait_for(lambda: self.daemon.metrics().value("dualbus_requests_waiting", bus=MARKETDATA) == 1, "it gathers")
        self.move(MARKETDATA, self.successor.endpoint)
        self.assertRegex(new.read(), rb"\d+-\d+")
        self.assertRegex(new.call("XADD", "md:s", "*", "message_type", "market_data"), rb"\d+-\d+")
        # The same client's next write goes there, too, and its answer keeps its place.
        old.send("XADD", "md:s", "*", "message_type", "market_data", "n", "next")
        wait_for(lambda: self.successor.client().xlen("md:s") == 3, "the next one is there")
        self.assertEqual(select.select([old.socket], [], [], 0)[0], [])
        self.assertEqual(self.marketdata.client().xlen("md:s"), 3)
        self.assertEqual([each["cmd"] for each in self.connections(self.marketdata, self.marketdata.endpoint)], ["wait"], "only that connection is left")
        self.replica.proceed()
        for _ in range(4):
            self.assertRegex(old.read(), rb"\d+-\d+")
        wait_for(lambda: not self.connections(self.marketdata, self.marketdata.endpoint), "nobody is connected to the old place")
        self.assertEqual(self.daemon.metrics().value("dualbus_confirmed_writes_total", bus=MARKETDATA), 6)

    def publish(self, number):
        """Clients that publish what waits and what does not; each looks at its own order."""
        stop, errors, answered = threading.Event(), [], [[] for _ in range(number)]

        def work(client, which):
            count = 0
            while not stop.is_set():
                batch = range(count, count + 8)
                replies = client.pipeline([("XADD", f"md:{which}", "*", "message_type", "market_data" if n % 3 else "quote", "n", n) for n in batch])
                errors.extend(reply for reply in replies if isinstance(reply, str))
                answered[which].extend(replies)
                count += len(batch)
        threads = [threading.Thread(target=work, args=(self.connect(protocol=2 + which % 2), which), daemon=True) for which in range(number)]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join(60)
            return answered, errors
        self.addCleanup(stop.set)
        return answered, end

    def stored(self, server, which):
        return [(number, int(fields[b"n"])) for number, fields in server.client().xrange(f"md:{which}")]

    def test_R1_T5_under_load_no_write_fails_is_lost_or_leaves_its_order(self):
        answered, end = self.publish(6)
        places = (self.marketdata.unix_socket, self.marketdata.endpoint, self.marketdata.unix_socket, self.marketdata.endpoint, self.successor.endpoint)
        for endpoint in places:
            done = [len(each) for each in answered]
            wait_for(lambda: all(len(each) > before + 40 for each, before in zip(answered, done)), "writes go on")  # pylint: disable=cell-var-from-loop
            self.move(MARKETDATA, endpoint)
        wait_for(lambda: all(self.successor.client().xlen(f"md:{which}") > 40 for which in range(6)), "writes go on at the new place")
        answered, errors = end()
        self.assertEqual(errors, [])
        for which, identifiers in enumerate(answered):
            before, after = self.stored(self.marketdata, which), self.stored(self.successor, which)
            self.assertEqual([n for _, n in before + after], list(range(len(identifiers))))
            self.assertEqual([number for number, _ in before + after], identifiers)
            wait_for(lambda: self.stored(self.replica, which) == before, "the replica has everything")  # pylint: disable=cell-var-from-loop
        self.assertEqual(self.daemon.metrics().value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 0)


if __name__ == "__main__":
    unittest.main()
