"""Groups that nobody created: made when they are first read, if missing_group says so."""
import threading
import unittest

from support import resp
from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, StackTest, make_config, wait_for
from support.stream_load import ALL_TYPES, Consumer, DaemonsTest, Producer, await_delivery, delivered_once, entries, run_for, scaled, started, stop_all, xadd

NO_GROUP = "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option"


def read(key, group="g", *options):
    return "XREADGROUP", "GROUP", group, "c", *options, "STREAMS", key, ">"


class MissingGroupTest(StackTest):
    config = {"missing_group": {"action": "create", "rules": [
        {"key": "late-*", "action": "create", "start": "$"},
        {"group": "strange-*", "action": "error"},
        {"key": "strict", "group": "*", "action": "error"}]}}

    def setUp(self):
        super().setUp()
        self.reader = self.connect(protocol=2 + len(self.id()) % 2)

    def publish(self, key):
        for kind in ALL_TYPES:
            self.client().xadd(key, {"message_type": kind, "name": kind})

    def read(self, *words):
        return {name.decode() for _, name in entries(self.reader.call(*words))}

    def created(self):
        metrics = self.daemon.metrics()
        return {name: metrics.value("dualbus_groups_created_total", bus=name) for name in (MARKETDATA, ENGINE_LOGIC)}

    def test_a_group_starts_at_the_beginning_of_the_stream_on_every_bus(self):
        self.publish("s")
        before = self.created()
        self.assertEqual(self.read(*read("s")), set(ALL_TYPES))
        self.assertEqual(self.created(), {name: count + 1 for name, count in before.items()})
        self.assertIsNone(self.reader.call(*read("s")))
        self.assertEqual(self.created(), {name: count + 1 for name, count in before.items()})
        self.publish("s")
        self.assertEqual(self.read(*read("s")), set(ALL_TYPES))
        self.assertEqual(len(self.client().xinfo_groups("s")), 1)

    def test_it_is_logged_once(self):
        self.publish("logged")
        for _ in range(3):
            self.reader.call(*read("logged"))
        self.assertEqual(self.daemon.full_log().count("group 'g' of stream 'logged' did not exist and has been created at 0"), 1)

    def test_a_rule_may_have_it_start_at_the_end(self):
        self.publish("late-s")
        self.assertIsNone(self.reader.call(*read("late-s")))
        self.publish("late-s")
        self.assertEqual(self.read(*read("late-s")), set(ALL_TYPES))

    def test_a_rule_may_leave_it_missing_by_group_or_key(self):
        for key, group in (("s", "strange-g"), ("strict", "g"), ("md:s", "strange-g")):
            self.publish("s" if key == "md:s" else key)
            for _ in range(2):
                self.assertEqual(self.reader.call(*read(key, group)), NO_GROUP.format(key, group))

    def test_a_stream_that_does_not_exist_is_made_with_it(self):
        self.assertIsNone(self.reader.call(*read("nothing-yet")))
        self.publish("nothing-yet")
        self.assertEqual(self.read(*read("nothing-yet")), set(ALL_TYPES))

    def test_a_pinned_stream_is_no_different(self):
        for options in ((), ("BLOCK", 50)):
            key = f"md:{len(options)}"
            self.publish(key)
            self.assertEqual(self.read(*read(key, "g", *options)), set(ALL_TYPES))
            self.assertIsNone(self.reader.call(*read(key, "g", *options)))
            with self.stack.marketdata.client() as bus:
                self.assertEqual([group["name"] for group in bus.xinfo_groups(key)], [b"g"])

    def test_several_streams_of_one_read_get_their_groups_together(self):
        keys = ["a", "md:b", "c", "el:d"]
        for key in keys:
            self.publish(key)
        reply = self.reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", *keys, *(">" for _ in keys))
        self.assertEqual(len(entries(reply)), len(keys) * len(ALL_TYPES))

    def test_a_read_that_waits_gets_its_group_and_then_waits(self):
        self.reader.send(*read("s", "g", "BLOCK", 0))
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "the reader waits")
        self.client().xadd("s", {"message_type": "x", "name": "n"})
        self.assertEqual([name for _, name in entries(self.reader.read())], [b"n"])

    def test_what_is_no_stream_is_not_touched(self):
        self.client().set("text", "v")
        self.assertRegex(str(self.reader.call(*read("text"))), "^WRONGTYPE ")
        self.assertEqual(self.client().get("text"), b"v")

    def test_a_command_that_reads_no_new_entries_creates_nothing(self):
        self.publish("s")
        self.assertEqual(self.reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0"), NO_GROUP.format("s", "g"))
        self.assertRegex(str(self.reader.call("XPENDING", "s", "g")), "^NOGROUP ")
        self.assertEqual(self.client().xinfo_groups("s"), [])

    def test_what_is_not_permitted_is_said(self):
        self.publish("s")
        with self.stack.engine_logic.client() as bus:
            self.addCleanup(bus.execute_command, "ACL", "SETUSER", "default", "+xgroup")
            bus.execute_command("ACL", "SETUSER", "default", "-xgroup")
            self.assertRegex(str(self.reader.call(*read("s"))), "^NOPERM ")
            bus.execute_command("ACL", "SETUSER", "default", "+xgroup")
        self.assertEqual(self.read(*read("s")), set(ALL_TYPES))


class RightsTest(StackTest):
    """A user that may read with groups need not be allowed to make streams and groups."""

    USER = {"nopass": True, "keys": ["a:*", "md:*"], "commands": ["+@all", "-xgroup"]}
    USERS = {"reader": USER, "maker": {**USER, "commands": ["+@all", "-xgroup", "+xgroup|create"]},
             "admin": {"nopass": True, "keys": ["*"], "commands": ["+@all"]}}
    config = {"missing_group": "create", "auth": {"users": USERS}}

    def log_in(self, user):
        client = self.connect()
        self.assertEqual(client.call("AUTH", user, "x"), "OK")
        return client

    def test_only_who_may_make_a_group_has_it_made(self):
        reader, maker, admin = map(self.log_in, self.USERS)
        for key in ("a:s", "md:s"):
            for _ in range(3):  # from the buses, then from memory
                self.assertEqual(reader.call(*read(key)), NO_GROUP.format(key, "g"))
                self.assertEqual(reader.call(*read(key, "g", "BLOCK", 5000)), NO_GROUP.format(key, "g"))
            self.assertEqual(admin.call("EXISTS", key), 0)
            self.assertIsNone(maker.call(*read(key)))  # whatever others have just been told
            self.assertEqual(admin.call("EXISTS", key), 1)
            self.assertIsNone(reader.call(*read(key)))
            self.assertIn("NOPERM", maker.call("XGROUP", "DESTROY", key, "g"))

    def test_a_group_that_exists_is_completed_for_everybody(self):
        admin, reader = self.log_in("admin"), self.log_in("reader")
        for kind in ALL_TYPES:
            admin.call("XADD", "a:s", "*", "message_type", kind, "name", kind)
        self.stack.engine_logic.client().xgroup_create("a:s", "g", "0")
        self.assertEqual({name.decode() for _, name in entries(reader.call(*read("a:s")))}, set(ALL_TYPES))

    def test_a_group_that_goes_while_somebody_waits_comes_back_for_its_maker_only(self):
        admin = self.log_in("admin")
        for user, comes_back in (("reader", False), ("maker", True)):
            admin.call("XGROUP", "CREATE", "a:w", "g", "$", "MKSTREAM")
            waiting = self.log_in(user)
            waiting.send(*read("a:w", "g", "BLOCK", 0))
            wait_for(lambda: b"blocked_clients:1" in admin.call("INFO", "clients"), "it waits")
            admin.call("XGROUP", "DESTROY", "a:w", "g")
            if comes_back:
                admin.call("XADD", "a:w", "*", "message_type", ALL_TYPES[0], "name", "n")
                self.assertEqual(len(entries(waiting.read())), 1)
            else:
                self.assertIn("NOGROUP", waiting.read())
            self.assertEqual(len(admin.call("XINFO", "GROUPS", "a:w")), int(comes_back))


class RaceTest(DaemonsTest):
    config = {"missing_group": "create"}

    def test_consumers_that_find_no_group_at_the_same_time_share_one_and_miss_nothing(self):
        for attempt in range(scaled(5)):
            key = f"s{attempt}"
            producer = started(self, Producer(self.daemon.address, key, "p", pause=0.001))
            consumers = [started(self, Consumer(daemon.address, key, "g", f"c{number}", count=7, block=(None, 20)[number % 2], protocol=2 + number % 2))
                         for number, daemon in enumerate(self.daemons * 2)]
            run_for(0.4, producer, *consumers)
            stop_all([producer])
            await_delivery(consumers, set(producer.acknowledged))
            stop_all(consumers)
            delivered_once(self, consumers, set(producer.acknowledged))
            self.assertEqual([consumer.unexpected for consumer in consumers if consumer.unexpected], [])


class DrainingTest(StackTest):
    def test_a_bus_that_is_being_left_gets_the_group_where_it_has_the_stream(self):
        old = self.stack.add_redis("main")
        config = make_config({name: bus.endpoint for name, bus in self.stack.buses.items()},
                             {"buses": {"main": {"id_slot": 0, "endpoint": old.endpoint, "state": "draining"}}, "missing_group": "create"})
        daemon = Daemon(self.stack.directory, config, name="draining")
        self.addCleanup(daemon.kill)
        daemon.start()
        bare = self.client(old)
        for number in range(3):
            bare.xadd("s", {"message_type": "x", "name": f"old-{number}"})
        client = self.client(daemon)
        for key in ("s", "new"):
            client.xadd(key, {"message_type": "market_data", "name": "new"})
        reader = self.connect(to=daemon)
        self.assertEqual([name for _, name in entries(reader.call(*read("s")))], [b"old-0", b"old-1", b"old-2", b"new"])
        self.assertEqual([name for _, name in entries(reader.call(*read("new")))], [b"new"])
        self.assertEqual(bare.exists("new"), 0)
        self.assertEqual([group["name"] for group in bare.xinfo_groups("s")], [b"g"])


class FleetTest(StackTest):
    """The engines of the legacy fleet: each creates its group on its own stream only, ignores errors and asks again."""

    config = {"missing_group": "create"}
    ENGINES = 7

    def test_engines_that_never_created_their_groups_get_every_message_once(self):
        keys = [f"nautilus-{number}-streams" for number in range(self.ENGINES)]
        for number, key in enumerate(keys):
            self.client().xgroup_create(key, f"{number}-group", "0", mkstream=True)
        producers = [started(self, Producer(self.daemon.address, key, f"to-{key}", depth=2, pause=0.01)) for key in keys]
        consumers = {key: [started(self, Consumer(self.daemon.address, key, f"{number}-group", f"{number}-engine-1", count=50, block=20))
                           for number in range(self.ENGINES)] for key in keys}
        run_for(scaled(20) / 10, *producers)
        stop_all(producers)
        for producer, key in zip(producers, keys):
            for consumer in consumers[key]:
                await_delivery([consumer], set(producer.acknowledged))
        for producer, key in zip(producers, keys):
            stop_all(consumers[key])
            for consumer in consumers[key]:
                delivered_once(self, [consumer], set(producer.acknowledged))
                self.assertEqual(consumer.unexpected, [])
        for bus in self.stack.buses.values():
            with bus.client() as client:
                failed = client.info("commandstats")["cmdstat_xreadgroup"]["failed_calls"]
                # Each group was missed once, by those who asked at the same time.
                self.assertLessEqual(failed, self.ENGINES * self.ENGINES)


if __name__ == "__main__":
    unittest.main()
