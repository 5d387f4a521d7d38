"""A daemon with one bus behind Sentinels, whose master is lost again and again, and clients that note every entry there."""
import collections
import contextlib
import os
import time

import redis

import paths  # noqa: F401 pylint: disable=unused-import
from support.harness import ENGINE_LOGIC, MARKETDATA, make_config, merge
from support.sentinels import Topology
from support.servers import Daemon, Redis, wait_for
from support.stream_load import TYPES, Consumer, Producer

# A request that cannot be sent yet waits for the next master, and a write for the replicas that will follow that one.
PATIENT = {"backend": {"reconnect_wait": "60s", "connect_timeout": "500ms", "backoff_max": "200ms", "request_timeout": "40s"},
           "buses": {MARKETDATA: {"acknowledge": {"replicas": 1, "timeout": "20s"}}}}
STREAM = "watched"


class Masters:
    def __init__(self, directory, config):
        self.directory = directory
        self._ends = contextlib.ExitStack()
        try:
            self.other = other = Redis(ENGINE_LOGIC, directory).start()
            self.addCleanup(other.kill)
            self.topology = Topology(self, directory)
            config = merge(make_config({MARKETDATA: "", ENGINE_LOGIC: other.endpoint}), merge(config, PATIENT))
            del config["buses"][MARKETDATA]["endpoint"]
            config["buses"][MARKETDATA].update(self.topology.settings(self._password_file))
            self.master = self.topology.servers[0]
            self._lost = None
            self.switches = []  # when a master was lost, and when the daemon had another one
            self.daemon = Daemon(directory, config)
            self.addCleanup(self.daemon.kill)
            self.daemon.start()
        except BaseException:
            self._ends.close()
            raise

    def addCleanup(self, function, *arguments):  # pylint: disable=invalid-name
        """As a test has it."""
        self._ends.callback(function, *arguments)

    def close(self):
        with self._ends:
            status = self.daemon.terminate()
            assert status == 0, f"the daemon ended with status {status}: {self.daemon.log()[-3000:]}"

    def _password_file(self, text):
        path = os.path.join(self.directory, "password-" + text)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def lose(self, how):
        """The master is killed or stopped; returns when the daemon has the next one."""
        self._lost, begun = self.master, time.monotonic()
        lines = lambda server: self.daemon.log().count(f"bus '{MARKETDATA}': is at {server.endpoint} now")  # noqa: E731
        seen = {server: lines(server) for server in self.topology.servers}
        if how == "killed":
            self._lost.kill()
        else:
            self._lost.pause()
        self.master = self.topology.await_other_master(self._lost)
        wait_for(lambda: lines(self.master) > seen[self.master], f"the daemon follows\n{self.daemon.log()[-2000:]}")
        self.switches.append((begun, time.monotonic()))

    def restore(self):
        """The old master comes back as a replica; returns when everything is as it was before."""
        if self._lost.running():
            self._lost.proceed()
        else:
            # From the start, for a master that comes back empty would be one for a while.
            if "--replicaof" not in self._lost.options:
                self._lost.options += ["--replicaof", "127.0.0.1", ""]
            self._lost.options[self._lost.options.index("--replicaof") + 2] = str(self.master.port)
            self._lost.start()
        wait_for(self._in_order, "all replicas follow the master")

    def _in_order(self):
        with contextlib.suppress(redis.RedisError):  # a Sentinel closes all connections of one that it makes a replica
            for server in self.topology.servers:
                with server.client(socket_timeout=5) as client:
                    state = client.info("replication")
                if server is self.master:
                    if sum(isinstance(value, dict) and value.get("state") == "online" for value in state.values()) < len(self.topology.servers) - 1:
                        return False
                elif state["role"] != "slave" or state["master_port"] != self.master.port or state["master_link_status"] != "up":
                    return False
            return self.topology.complete()
        return False

    def pending(self, stream, group):
        """How many entries on the bus a group has read and not acknowledged."""
        with self.master.client() as client:
            return client.xpending(stream, group)["pending"]

    def unread(self, stream, group):
        """How many entries on both buses a group has not read yet."""
        count = 0
        for bus in (self.master, self.other):
            with bus.client() as client:
                [last] = [each["last-delivered-id"] for each in client.xinfo_groups(stream) if each["name"] == group.encode()]
                count += len(client.xrange(stream, b"(" + last, "+"))
        return count

    def watch(self):
        return Watch(self)


class Watch:
    """Producers and one group on a stream, all of whose entries are known: which were answered, and who got what when."""

    def __init__(self, masters):
        self._masters = masters
        with masters.daemon.client() as client:
            client.xgroup_create(STREAM, "g", "0", mkstream=True)
        address = masters.daemon.address
        self._producers = [Producer(address, STREAM, f"p{number}", types=TYPES[MARKETDATA]) for number in range(2)]
        self._consumers = [Consumer(address, STREAM, "g", f"c{number}", count=100, block=500) for number in range(2)]
        self.repeats = self.pending = 0
        self._faults = []

    def __enter__(self):
        for runner in (*self._producers, *self._consumers):
            runner.start()
        return self

    def __exit__(self, *_):
        for runner in (*self._producers, *self._consumers):
            runner.end()

    def faults(self):
        return self._faults

    def finish(self):
        """Ends it when the group has everything that the master has, and judges."""
        for producer in self._producers:
            producer.stop()
        with self._masters.master.client() as client:
            stored = collections.Counter(fields[b"name"] for _, fields in client.xrange(STREAM))
            left = lambda: set(stored) - self._received() - set(self._pending(client))  # noqa: E731
            try:
                wait_for(lambda: not left(), "all is delivered", 30)
            except AssertionError:
                self._faults.append(f"the watching group misses {len(left())} entries of {len(stored)}: {sorted(left())[:5]}")
            # The answer to the read was lost with the master, and the reader was told so.
            for name, consumer in self._pending(client).items():
                if name not in self._received():
                    self.pending += 1
                    if not self._consumers[consumer].bus_errors:
                        self._faults.append(f"{name} is pending, and its reader got neither it nor an error")
        for consumer in self._consumers:
            consumer.stop()
        answered = [name for producer in self._producers for name in producer.acknowledged]
        lost = [name for name in answered if name not in stored]
        refused = [name for producer in self._producers for name in producer.refused if name in stored]
        twice = [name for name, count in stored.items() if count > 1]
        for what, names in (("answered with an ID and lost", lost), ("refused and stored", refused), ("stored twice", twice)):
            if names:
                self._faults.append(f"{len(names)} of {len(answered)} {what}: {names[:5]}")
        self._judge_repeats()

    def _pending(self, client):
        """name -> number of the consumer that has not acknowledged it."""
        found = {}
        for entry in client.xpending_range(STREAM, "g", "-", "+", 10**5):
            for _, fields in client.xrange(STREAM, entry["message_id"], entry["message_id"]):
                found[fields[b"name"]] = int(entry["consumer"][1:])
        return found

    def _received(self):
        return {name for consumer in self._consumers for _, name in list(consumer.received)}

    def _judge_repeats(self):
        """A group may get an entry again that it had before a master was lost, once for each."""
        times = collections.defaultdict(list)
        for consumer in self._consumers:
            for (_, name), when in zip(consumer.received, consumer.arrived):
                times[name].append(when)
        for name, moments in times.items():
            moments.sort()
            self.repeats += len(moments) - 1
            for first, second in zip(moments, moments[1:]):
                if not any(first < over and begun < second for begun, over in self._masters.switches):
                    self._faults.append(f"{name} came twice, and no master was lost between: {first:.3f}, {second:.3f}")
