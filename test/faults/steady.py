"""The table of steady states: a bus is in some state for a while. How much does the daemon work when nobody asks for anything, how
much does it write to its log when clients go on, and how soon does everything work when the state ends?"""
import json
import signal
import threading
import time

from support import resp
from checker import await_true
from faults import begin_misconf, end_misconf
from support.harness import MARKETDATA
from ledger import RECOVERY
from support.stream_load import entries

MOST_CPU_PERCENT, MOST_LINES_A_SECOND = 2.0, 1.0
# The last connection to a bus that hangs is given up after backend.health_timeout, 10 s, and tried again: from then on the state is steady.
SETTLE, MEASURE = 13.0, 5.0
ASKING_CLIENTS = 20
THINGS = ("SET", "ready", "group reader", "follower", "subscriber")


def states(world):
    """name -> (begin, end), for the bus marketdata."""
    bus = world.buses[MARKETDATA]
    links = [(daemon.number, MARKETDATA) for daemon in world.daemons]
    script = []

    def config(*pairs):
        for name, value in pairs:
            bus.admin("CONFIG", "SET", name, value)

    def every_link(verb):
        for link in links:
            world.network.call(verb, link)

    def misconf():
        for pause in begin_misconf(bus):
            time.sleep(pause)

    def busy():
        config(("busy-reply-threshold", 50))
        script.append(bus.direct(60))
        script[-1].send("EVAL", "while true do end", 0)

    def full():
        config(("maxclients", 1))
        for kind in ("normal", "pubsub"):
            door[0].call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    door = []
    return {
        "up": (lambda: None, lambda: None),
        "killed": (bus.kill, lambda: bus.start(wait=False)),
        "stopped": (lambda: bus.signal(signal.SIGSTOP), lambda: bus.signal(signal.SIGCONT)),
        "cut off": (lambda: every_link("hold"), lambda: every_link("release")),
        "READONLY": (lambda: bus.admin("REPLICAOF", "127.0.0.1", 1), lambda: bus.admin("REPLICAOF", "NO", "ONE")),
        "MASTERDOWN": (lambda: (config(("replica-serve-stale-data", "no")), bus.admin("REPLICAOF", "127.0.0.1", 1)),
                       lambda: (bus.admin("REPLICAOF", "NO", "ONE"), config(("replica-serve-stale-data", "yes")))),
        "MISCONF": (misconf, lambda: end_misconf(bus)),
        "NOREPLICAS": (lambda: config(("min-replicas-to-write", 1)), lambda: config(("min-replicas-to-write", 0))),
        "OOM": (lambda: config(("maxmemory", 1)), lambda: config(("maxmemory", 0))),
        "NOPERM": (lambda: bus.admin("ACL", "SETUSER", "default", "-@write"), lambda: bus.admin("ACL", "SETUSER", "default", "+@all")),
        "wrong password": (lambda: (bus.admin("ACL", "SETUSER", "default", "resetpass", ">other"), bus.admin("CLIENT", "KILL", "USER", "default")),
                           lambda: bus.admin("ACL", "SETUSER", "default", ">" + bus.default_password)),
        "maxclients": (lambda: (door.append(bus.direct(60)), full()),
                       lambda: (door[0].call("CONFIG", "SET", "maxclients", 10000), door.pop().close())),
        "CLIENT PAUSE WRITE": (lambda: bus.admin("CLIENT", "PAUSE", 600000, "WRITE"), lambda: bus.admin("CLIENT", "UNPAUSE")),
        "BUSY": (busy, lambda: (bus.admin("SCRIPT", "KILL"), script.pop().close())),
    }


class Waiting:
    """A client that waits, and waits again whatever it is told."""

    def __init__(self, daemon, *request):
        self._daemon, self._request = daemon, request
        self.errors, self.heard = 0, set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.is_set():
            try:
                with self._daemon.connect(timeout=0.5) as connection:
                    connection.send(*self._request)
                    while not self._end.is_set():
                        try:
                            reply = connection.read()
                        except TimeoutError:
                            continue
                        self._take(reply)
                        if self._request[0] != "SUBSCRIBE":
                            connection.send(*self._request)
            except (OSError, ValueError):
                self.errors += 1
                self._end.wait(0.1)

    def _take(self, reply):
        if isinstance(reply, resp.ReplyError):
            self.errors += 1
            self._end.wait(0.1)
        elif self._request[0] == "SUBSCRIBE":
            self.heard.add(reply[2])
        elif self._request[0] == "BLPOP":
            self.heard.add(reply[1])
        else:
            self.heard.update(name for _, name in entries(reply))

    def stop(self):
        self._end.set()
        self._thread.join(10)


class Table:
    def __init__(self, world):
        self.world, self.rows = world, []
        self._probes = 0

    def run(self, names=()):
        for name, (begin, end) in states(self.world).items():
            if not names or name in names:
                self._measure(name, begin, end)
        self.show()

    def _measure(self, name, begin, end):
        world = self.world
        with world.daemons[0].connect() as connection:
            for key in ("t0", "t1"):
                connection.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM")
        waiting = {kind: [] for kind in ("group reader", "follower", "subscriber", "BLPOP")}
        for daemon in world.daemons:
            for number in range(15):
                waiting["group reader"].append(Waiting(daemon, "XREADGROUP", "GROUP", "g", f"c{daemon.number}.{number}", "BLOCK", 0,
                                                       "STREAMS", f"t{number % 2}", ">"))
            for number in range(5):
                waiting["follower"].append(Waiting(daemon, "XREAD", "BLOCK", 0, "STREAMS", "t0", "$"))
                waiting["subscriber"].append(Waiting(daemon, "SUBSCRIBE", "t"))
                waiting["BLPOP"].append(Waiting(daemon, "BLPOP", f"{'md:' if number % 2 else 'el:'}nothing{number}", 0))
        time.sleep(1)
        everybody = sum(waiting.values(), [])
        patient = [each for kind, each_of in waiting.items() if kind != "BLPOP" for each in each_of]  # BLPOP needs its bus
        before = sum(each.errors for each in patient)
        begin()
        time.sleep(SETTLE)
        cpu, lines = self._watch()
        errors = sum(each.errors for each in patient) - before
        asked_cpu, asked_lines = self._watch(asking=True)
        end()
        recovery = self._recover(waiting)
        for each in everybody:
            each.stop()
        self.rows.append((name, cpu, lines, errors, asked_cpu, asked_lines, recovery))
        self._judge(*self.rows[-1])
        print(self._row(*self.rows[-1]), flush=True)
        world.check_processes()
        self._forget()

    def _watch(self, asking=False):
        """CPU in percent and lines of log per second of the daemon that has most of it."""
        daemons = self.world.daemons
        clients = [threading.Thread(target=ask, args=(daemons[number % len(daemons)], number), daemon=True)
                   for number in range(ASKING_CLIENTS if asking else 0)]
        for client in clients:
            client.start()
        before, began = [(daemon.cpu_seconds(), daemon.log().count("\n")) for daemon in daemons], time.monotonic()
        time.sleep(MEASURE)
        took = time.monotonic() - began
        cpu = max(100 * (daemon.cpu_seconds() - was) / took for daemon, (was, _) in zip(daemons, before))
        lines = max((daemon.log().count("\n") - was) / took for daemon, (_, was) in zip(daemons, before))
        for client in clients:
            client.join(20)
        return cpu, lines

    def _recover(self, waiting):
        """Seconds until each thing works at every daemon, None if it does not."""
        ended, took = time.monotonic(), {}
        open_things = {
            "SET": lambda: all(call(daemon, "SET", "md:steady", "1") == "OK" for daemon in self.world.daemons),
            "ready": lambda: all(daemon.fetch("/readyz?all", timeout=2)[0] == 200 for daemon in self.world.daemons),
            "group reader": lambda: self._delivered(waiting["group reader"], "t1", 1),
            "follower": lambda: self._delivered(waiting["follower"], "t0", len(waiting["follower"])),
            "subscriber": lambda: self._published(waiting["subscriber"]),
        }
        while open_things and time.monotonic() < ended + 30:
            for name in [name for name, works in open_things.items() if works()]:
                took[name] = time.monotonic() - ended
                del open_things[name]
            time.sleep(0.02)
        took.update(dict.fromkeys(open_things))
        return took

    def _probe(self):
        self._probes += 1
        return f"probe{self._probes}".encode()

    def _delivered(self, readers, key, goal):
        probe = self._probe()
        if not isinstance(call(self.world.daemons[0], "XADD", key, "*", "message_type", "market_data", "name", probe), bytes):
            return False
        return await_true(lambda: sum(probe in reader.heard for reader in readers) >= goal, 0.3)

    def _published(self, subscribers):
        probe = self._probe()
        call(self.world.daemons[0], "PUBLISH", "t", json.dumps({"message_type": "market_data", "text": probe.decode()}))
        return await_true(lambda: all(any(probe in text for text in list(each.heard) if isinstance(text, bytes)) for each in subscribers), 0.3)

    def _forget(self):
        await_true(lambda: all(self.world.ready(daemon) for daemon in self.world.daemons), 20)
        for bus in self.world.buses.values():
            bus.admin("FLUSHALL")

    def _judge(self, name, cpu, lines, _, __, asked_lines, recovery):
        add, slack = self.world.findings.add, self.world.options.slack
        if cpu > MOST_CPU_PERCENT * (1 + slack):
            add("cpu", f"{name}: {cpu:.1f} % of a core while nobody asks for anything")
        if max(lines, asked_lines) > MOST_LINES_A_SECOND * (1 + slack):
            add("log", f"{name}: {lines:.1f} lines a second, with {ASKING_CLIENTS} clients {asked_lines:.1f}")
        for what, took in recovery.items():
            if took is None or took > RECOVERY + slack:
                add("recovery", f"{name}: {what} works {'never' if took is None else f'after {took:.2f} s'}")

    @staticmethod
    def _row(name, cpu, lines, errors, asked_cpu, asked_lines, recovery):
        times = " | ".join("never" if recovery[what] is None else f"{recovery[what]:.2f}" for what in THINGS)
        return f"| {name} | {cpu:.1f} | {lines:.1f} | {errors} | {asked_cpu:.1f} | {asked_lines:.1f} | {times} |"

    def show(self):
        print("\n| one bus is | idle: CPU, % | log, lines/s | errors | asked: CPU, % | log, lines/s "
              "| works again after, s: SET | /readyz?all | group reader | follower | subscriber |\n|" + "---|" * 11)
        for row in self.rows:
            print(self._row(*row))
        print(flush=True)


def call(daemon, *request):
    try:
        with daemon.connect(timeout=10) as connection:
            return connection.call(*request)
    except (OSError, ValueError):
        return None


def ask(daemon, number):
    """One of the clients that go on, twenty requests a second at most."""
    end = time.monotonic() + MEASURE
    while time.monotonic() < end:
        try:
            with daemon.connect(timeout=end + 10 - time.monotonic()) as connection:
                while time.monotonic() < end:
                    for request in (("XADD", "t1", "*", "message_type", "market_data", "a", "b"), ("GET", "md:x"), ("GET", "el:x"),
                                    ("WATCH", "md:x"), ("UNWATCH", ),
                                    ("XREADGROUP", "GROUP", "g", f"a{number}", "COUNT", 10, "BLOCK", 100, "STREAMS", "t0", "t1", ">", ">")):
                        connection.call(*request)
                        time.sleep(0.05)
        except (OSError, ValueError):
            time.sleep(0.05)
