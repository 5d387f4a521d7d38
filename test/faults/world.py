"""The servers of a campaign: two buses, several daemons before them, and the links between each pair."""
import os
import random
import shutil
import tempfile
import threading
import time

from support import resp
from findings import Findings
from support.harness import ENGINE_LOGIC, MARKETDATA, make_config, merge
from ledger import Ledger
from network import Network
from support.servers import Daemon, Redis, daemon_program, wait_for

BUSES = (MARKETDATA, ENGINE_LOGIC)
# The first daemon keeps the times that the documents speak of; the others are in more of a hurry, so that more happens.
HURRY = {"reconnect_wait": "400ms", "connect_timeout": "500ms", "backoff_max": "500ms", "request_timeout": "2s", "health_interval": "300ms",
         "health_timeout": "3s"}
SANITIZERS = {"UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "second_deadlock_stack=1"}
SECONDS = {"ms": 0.001, "s": 1.0}


class Bus(Redis):
    """A Redis that keeps what it has acknowledged, and lets the campaign in whatever is done to the user of the daemons."""

    def __init__(self, name, directory, fsync):
        self.default_password = "first"
        super().__init__(name, directory, "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0",
                         "--enable-protected-configs", "yes", "--user", "admin", "on", ">admin", "~*", "&*", "+@all")
        self._fixed = list(self.options)

    def start(self, wait=True):
        self.options = [*self._fixed, "--requirepass", self.default_password]
        return super().start(wait)

    def client(self, **options):
        return super().client(**{"username": "admin", **options})

    password = property(lambda self: "admin", lambda self, value: None)

    def admin(self, *request, timeout=5):
        """Past links and daemons."""
        with self.direct(timeout) as connection:
            return connection.call(*request)

    def direct(self, timeout=5):
        connection = resp.Connection(self.address, timeout=timeout)
        connection.call("AUTH", "admin", "admin")
        return connection


class Proxy(Daemon):
    """A daemon with a number. `longest_request` is what a request may take at most by its configuration, in seconds."""

    number, longest_request = 0, 0.0

    def end_of_log(self):
        """The last lines that say more than that all is well."""
        return "\n".join([line for line in self.log().splitlines() if " info " not in line][-12:])

    def restart(self):
        """Does not wait until it works."""
        self.launch([daemon_program(), "--config", self.config_path], env=self.env)


def seconds(text):
    digits = text.rstrip("ms")
    return float(digits) * SECONDS[text[len(digits):]]


class World:
    """Everything that a campaign has. Fault generators and clients get it."""

    def __init__(self, options):
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="dualbus-faults-")
        self.ledger = Ledger(options)
        self.findings = Findings(self)
        self.buses, self.daemons, self._links = {}, [], []
        self.network = Network()
        self._ended = threading.Event()
        self._noting = threading.Thread(target=self._note_stalls, daemon=True)
        self.round = 0
        self.started = time.monotonic()
        self.spare_rules = 0
        self._lock = threading.Lock()
        self.counts = {}
        self.stopped = False
        self.packets_can_be_dropped = "DUALBUS_FAULTS_NETWORK" in os.environ
        self.recoveries, self.memory = [], {}

    def start(self):
        for name in BUSES:
            self.buses[name] = Bus(name, self.directory, self.options.fsync)
            with open(self._password_file(name), "w", encoding="utf-8") as file:
                file.write(self.buses[name].default_password)
            os.chmod(self._password_file(name), 0o600)
        for number, workers in enumerate(self.options.workers):
            self._make_daemon(number, workers)
        self.network.start()
        self._noting.start()
        for bus in self.buses.values():
            bus.start()
        for daemon in self.daemons:
            daemon.start()

    def _note_stalls(self):
        """When the links had no time, they make buses look slow."""
        while not self._ended.wait(0.2):
            for begin, end in self.network.stalls():
                self.ledger.stalls.add(begin, end)

    def _password_file(self, bus):
        return os.path.join(self.directory, bus + ".password")

    def _make_daemon(self, number, workers):
        links = {name: self.network.add((number, name), bus.address) for name, bus in self.buses.items()}
        config = make_config(links, {
            "workers": workers,
            "buses": {name: {"password_file": self._password_file(name)} for name in self.buses},
            "backend": {"dedicated_connections": 200, **(HURRY if number else {})},
            "routing": {"types": {MARKETDATA: ["market_data", "price_update"], ENGINE_LOGIC: ["order_request", "risk_*"]},
                        # Reloads come while buses are away, too.
                        "moved_streams": "allowed"},
            "absorb": "strict" if number % 2 else "relaxed",
        })
        daemon = Proxy(self.directory, config, SANITIZERS, f"dualbusd-{number}")
        daemon.number = number
        backend = merge({"reconnect_wait": "1s", "request_timeout": "5s"}, config["backend"])
        daemon.longest_request = seconds(backend["reconnect_wait"]) + 1.1 * seconds(backend["request_timeout"])
        self.daemons.append(daemon)

    def rotate_password(self, bus, password):
        """Only the file: telling Redis and the daemons is the caller's."""
        with open(self._password_file(bus.name) + ".new", "w", encoding="utf-8") as file:
            file.write(password)
        os.chmod(self._password_file(bus.name) + ".new", 0o600)
        os.replace(self._password_file(bus.name) + ".new", self._password_file(bus.name))

    def change_rules(self, daemon, chance):
        """Another configuration that routes what the campaign sends as before."""
        self.spare_rules += 1
        spare = [f"spare_{number}" for number in chance.sample(range(99), chance.randrange(5))]
        config = merge(daemon.config, {
            "routing": {"types": {MARKETDATA: ["market_data", "price_update", *spare]},
                        "keys": [*daemon.config["routing"]["keys"], {"match": f"spare{self.spare_rules}:*", "bus": chance.choice(BUSES)}]},
            "limits": {"client_in_flight": chance.choice((5000, 10000))},
            "slowlog": {"threshold": chance.choice(("5ms", "10ms"))},
        })
        daemon.write_config(config)

    def count(self, event, number=1):
        with self._lock:
            self.counts[event] = self.counts.get(event, 0) + number

    def ready(self, daemon):
        """True if it works with all buses: it says so, and does so."""
        if daemon.fetch("/readyz?all", timeout=2)[0] != 200:
            return False
        try:
            with daemon.connect(timeout=2) as connection:
                return all(connection.call("SET", key, "1") == "OK" for key in ("md:ready", "el:ready"))
        except OSError:
            return False

    def forget_data(self):
        """Between two rounds: the buses are emptied and their files made short."""
        for bus in self.buses.values():
            with bus.direct(30) as connection:
                connection.call("FLUSHALL")
                connection.call("BGREWRITEAOF")
            wait_for(lambda bus=bus: "aof_rewrite_in_progress:0" in bus.admin("INFO", "persistence").decode(), "the file is rewritten")

    def check_processes(self):
        """Nobody has ended who should not, and no sanitizer has said anything."""
        for daemon in self.daemons:
            if not self.stopped and not daemon.running() and not self.ledger.active(("slay", "leave"), daemon.number):
                self.findings.add("died", f"{daemon.name} ended with status {daemon.process.returncode}\n{daemon.end_of_log()}")
                daemon.restart()
            if report := daemon.sanitizer_report():
                if report not in self.findings.reports:
                    self.findings.reports.add(report)
                    self.findings.add("sanitizer", f"{daemon.name}\n{report}")

    def stop(self):
        """Ends the daemons as an operator does."""
        self.stopped = True
        for daemon in self.daemons:
            if daemon.running():
                started = time.monotonic()
                status = daemon.terminate()
                if status != 0:
                    self.findings.add("died", f"{daemon.name} ended with {status} when told to stop\n{daemon.end_of_log()}")
                self.count(f"{daemon.name}: milliseconds to leave", round(1000 * (time.monotonic() - started)))

    def end(self):
        self._ended.set()
        if self._noting.ident:
            self._noting.join(10)
        for process in (*self.daemons, *self.buses.values()):
            process.kill()
        self.network.stop()
        if self.options.keep or self.findings.list:
            print(f"files and logs: {self.directory}", flush=True)
        if not (self.options.keep or self.findings.list):
            shutil.rmtree(self.directory, ignore_errors=True)


def dice(*parts):
    """Random numbers that are the same whenever the parts are."""
    return random.Random(":".join(map(str, parts)))
