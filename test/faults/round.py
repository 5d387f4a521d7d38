"""One round: clients start, faults come and go, everything recovers, and the books are checked."""
import os
import time

import keys
import pubsub
import streams
from checker import Checker, await_true, drained, pending
from crowds import Leaver
from support.harness import ENGINE_LOGIC, MARKETDATA
from ledger import RECOVERY
from support.resp import ReplyError
from schedule import Schedule
from world import dice

CALM = 1.5  # seconds with load and without faults
GROUPS = ("g0", "g1")


class Round:
    def __init__(self, world, number, kinds, length):
        self.world, self.number, self.kinds, self.length = world, number, kinds, length
        self.name = f"r{number}"
        world.round = number
        self.logical = [f"{self.name}:s0", f"{self.name}:s1"]
        self.pinned = [f"md:{self.name}:s", f"el:{self.name}:s"]
        self.careful_keys = [f"{self.name}:careful{index}" for index in range(2)]
        self.clients = {}
        self._last_name = 0

    def dice(self, *parts):
        return dice(self.world.options.seed, self.number, *parts)

    def run(self):
        """False if it does not recover: then there is no use in going on."""
        world = self.world
        world.forget_data()
        world.ledger.clear()
        self.make_groups()
        self.make_clients()
        for client in self.everybody():
            client.start()
        Schedule(world, self.dice("faults"), self.kinds, world.options.most).run(self.length)
        if not self.recover():
            self.end(*self.everybody())
            return False
        calm = time.monotonic()
        time.sleep(CALM)
        self.finish(calm)
        self.before_checking()
        Checker(world, self.clients, [*self.logical, *self.pinned, *self.careful_keys], GROUPS).run()
        self.check_leftovers()
        world.check_processes()
        print(f"round {self.number}: {len(world.findings.list)} findings", flush=True)
        return True

    def before_checking(self):
        """For a check of the checker."""

    # --- the beginning

    def make_groups(self):
        world = self.world
        for key in (*self.logical, *self.pinned):
            for group in GROUPS:
                with world.daemons[0].connect() as connection:
                    reply = connection.call("XGROUP", "CREATE", key, group, "0", "MKSTREAM")
                if isinstance(reply, ReplyError):
                    world.findings.add("error", f"XGROUP CREATE {key} {group}: {reply}")

    def make(self, kind, factory, *arguments, daemon=None, **options):
        """One client more, at a daemon by turns."""
        self._last_name += 1
        name = f"{factory.__name__.lower()}{self._last_name}"
        world = self.world
        daemon = daemon or world.daemons[self._last_name % len(world.daemons)]
        client = factory(world, f"{self.name}.{name}", daemon, self.dice(name), *arguments, **options)
        self.clients.setdefault(kind, []).append(client)
        return client

    def make_clients(self):
        streams_, daemons = [*self.logical, *self.pinned], self.world.daemons
        for _ in range(3):
            self.make("publishers", streams.Producer, streams_)
        for key in self.careful_keys:
            self.make("publishers", streams.CarefulProducer, [key])
        for _ in range(2):
            self.make("publishers", streams.TransactionProducer, streams_)
        for group in GROUPS:
            for daemon in daemons:
                self.make("consumers", streams.Consumer, group, streams_, daemon=daemon)
                self.make("consumers", streams.Consumer, group, self.logical, dies=True, daemon=daemon)
            self.make("heirs", streams.Heir, group, streams_)
        for key in (*self.logical, *self.pinned[:1], *self.careful_keys[:1]):
            self.make("followers", streams.Follower, key)
        for daemon in daemons:
            for bus, pin in ((MARKETDATA, "md:"), (ENGINE_LOGIC, "el:")):
                self.make("others", keys.Bystander, bus, f"{pin}{self.name}:bystander", daemon=daemon)
            self.make("others", keys.Owner, self.name)
            self.make("others", keys.Owner, self.name)
            self.make("others", keys.Pairs, self.name)
            self.make("others", keys.Inspector, self.name, self.logical)
            self.make("lockers", keys.Locker, f"el:{self.name}:lock")
        for key in (f"md:{self.name}:q", f"{self.name}:q"):
            self.make("pushers", keys.Pusher, key)
            for daemon in daemons:
                self.make("poppers", keys.Popper, key, daemon=daemon)
        self.make("leavers", Leaver, streams_, f"{self.name}:q")
        self.clients["publishers"] += self.clients["leavers"]
        channels = [f"{self.name}:c{index}" for index in range(2)]
        for daemon in daemons:
            self.make("announcers", pubsub.Announcer, channels, daemon=daemon)
            self.make("subscribers", pubsub.Subscriber, channels, daemon=daemon)
            self.make("subscribers", pubsub.Subscriber, channels, pattern=f"{self.name}:c?", daemon=daemon)

    def everybody(self):
        return list(dict.fromkeys(client for clients in self.clients.values() for client in clients))

    # --- the end

    def recover(self):
        """Until every daemon works with every bus."""
        world = self.world
        last, waiting, recovered = world.ledger.last_end(), list(world.daemons), []
        while waiting and time.monotonic() < last + 40:
            for daemon in [daemon for daemon in waiting if world.ready(daemon)]:
                waiting.remove(daemon)
                recovered.append((daemon, time.monotonic()))
            time.sleep(0.02)
        time.sleep(0.5)
        for daemon, when in recovered:
            world.recoveries.append(when - last)
            if when - last - 2 * world.ledger.stalls.within(last, when) > RECOVERY + world.options.slack:
                world.findings.add("recovery", f"{daemon.name} works only {when - last:.2f} s after the last fault", daemon.number)
        for daemon in waiting:
            world.findings.add("recovery", f"{daemon.name} does not work 40 s after the last fault\n{daemon.end_of_log()}", daemon.number)
        return not waiting

    def finish(self, calm):
        world, clients = self.world, self.clients
        self.end(*clients["publishers"], *clients["pushers"], *clients["others"], *clients["lockers"])
        self.check_subscribers(calm)
        streams_ = [*self.logical, *self.pinned]
        if not await_true(lambda: drained(world, streams_, GROUPS), 40):
            world.findings.add("stuck", "groups have not been delivered everything")
        self.await_lists()
        self.end(*(client for kind in ("consumers", "poppers", "followers", "heirs", "announcers", "subscribers") for client in clients[kind]))
        for follower in clients["followers"]:
            follower.finish()
        self.inherit(streams_)

    def end(self, *clients):
        for client in clients:
            client.stop()
        for client in clients:
            client.join()

    def await_lists(self):
        def empty():
            return not any(bus.admin("LLEN", client.key) for bus in self.world.buses.values() for client in self.clients["poppers"])

        if not await_true(empty, 30):
            self.world.findings.add("stuck", "lists are not emptied")

    def check_subscribers(self, calm):
        announcers, subscribers = self.clients["announcers"], self.clients["subscribers"]
        probe = pubsub.Announcer(self.world, f"{self.name}.probe", self.world.daemons[0], self.dice("probe"), [f"{self.name}:c0"])
        heard = pubsub.await_hearing(self.world, probe, subscribers)
        if heard is None:
            return
        since = max(calm, time.monotonic())
        for _ in range(20):
            probe.publish()
        probe.close()
        await_true(lambda: all(text in subscriber.heard for text in probe.certain for subscriber in subscribers), 10)
        self.end(*announcers)
        await_true(lambda: all(text in subscriber.heard for announcer in announcers for text, (_, answer) in announcer.certain.items()
                               if answer.sent >= since for subscriber in subscribers), 10)
        pubsub.check_subscribers([probe, *announcers], subscribers, since)

    def inherit(self, streams_):
        """The pending entries go to the heirs; then nothing is left."""
        for heir in self.clients["heirs"]:
            heir.idle = 0
            heir._stopping.clear()  # pylint: disable=protected-access
            for key in streams_:
                await_true(lambda heir=heir, key=key: heir.claim(key), 20)
            heir.close()
        if left := pending(self.world, streams_, GROUPS):
            self.world.findings.add("pending", f"{left} entries are pending though heirs have claimed and acknowledged everything")

    def check_leftovers(self):
        for daemon in self.world.daemons:
            if not await_true(daemon.gauges_are_zero, 20):
                self.world.findings.add("leftover", f"{daemon.name}: {', '.join(gauges(daemon))}", daemon.number)
            self.world.memory.setdefault(daemon.name, []).append((daemon.resident_bytes() >> 20, len(os.listdir(f"/proc/{daemon.pid}/fd"))))


def gauges(daemon):
    names = ("dualbus_clients ", "dualbus_requests_in", "dualbus_requests_wa", "dualbus_requests_ab")
    return [line for line in daemon.metrics().text.splitlines() if line.startswith(names)]
