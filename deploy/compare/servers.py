"""The servers that deploy/compare.sh measures: started on free ports, looked at, and ended by process ID."""
import contextlib
import ctypes
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.request

PATIENCE = 20
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
MARKETDATA, ENGINE_LOGIC = "marketdata", "engine_logic"
MARKETDATA_TYPES = ["market_data", "price_update", "trade_execution", "historical_data", "cache_updates"]
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def free_port():
    """Below those that the kernel gives to clients, so that no connection takes it before the server does."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def die_with_parent():
    """Also when this program is killed, nothing of what it started goes on."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Server:
    """A process of ours with a port of its own."""

    def __init__(self, name, folder):
        self.name, self.folder, self.port = name, folder, free_port()
        self.process = None

    def launch(self, *command):
        path = os.path.join(self.folder, self.name + ".log")
        with open(path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            preexec_fn=die_with_parent)
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(path, errors="replace") as log:
                    raise RuntimeError(f"{self.name} does not answer:\n{log.read()[-2000:]}")
            time.sleep(0.02)
        return self

    def answers(self):
        raise NotImplementedError

    def cpu_seconds(self):
        """To the nanosecond, unlike /proc/PID/stat."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Redis(Server):
    """A redis-server without persistence, and one connection that asks it for figures."""

    connection = None

    def start(self):
        data = os.path.join(self.folder, self.name)
        os.mkdir(data)
        return self.launch("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                           "--dir", data)

    def answers(self):
        try:
            self.connection = socket.create_connection(("127.0.0.1", self.port), 2)
            self.connection.settimeout(PATIENCE)
            return self.info("server") != {}
        except OSError:
            return False

    def call(self, *args):
        """The text of a bulk reply, which is all that is needed here."""
        request = "".join([f"*{len(args)}\r\n"] + [f"${len(arg)}\r\n{arg}\r\n" for arg in args])
        self.connection.sendall(request.encode())
        received = b""
        while b"\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n")
        if head[:1] != b"$":
            raise OSError(f"{self.name}: {head.decode(errors='replace')}")
        while len(body) < int(head[1:]) + 2:
            body += self._more()
        return body[:-2].decode()

    def _more(self):
        data = self.connection.recv(1 << 16)
        if not data:
            raise OSError(f"{self.name} has closed the connection")
        return data

    def info(self, section):
        return dict(line.split(":", 1) for line in self.call("INFO", section).splitlines() if ":" in line)

    def connections(self):
        """Those that are not ours."""
        return int(self.info("clients")["connected_clients"]) - 1

    def snapshot(self):
        info = self.info("all")
        calls = {name[8:]: dict(pair.split("=") for pair in text.split(",")) for name, text in info.items()
                 if name.startswith("cmdstat_")}
        reads = calls.get("xreadgroup", {})
        failed = sum(int(reads.get(what, 0)) for what in ("failed_calls", "rejected_calls"))
        return {"time": time.monotonic(), "cpu": float(info["used_cpu_sys"]) + float(info["used_cpu_user"]),
                "commands": int(info["total_commands_processed"]), "failed_reads": failed,
                # Reads and writes of sockets: how well commands and answers travel together.
                "transfers": int(info["total_reads_processed"]) + int(info["total_writes_processed"]),
                "calls": {name: (int(each["calls"]), int(each["usec"])) for name, each in calls.items()}}

    def end(self):
        if self.connection is not None:
            self.connection.close()
        super().end()


class Daemon(Server):
    """dualbusd before two buses, which heals missing groups."""

    def __init__(self, program, folder, buses):
        super().__init__("dualbusd", folder)
        self.program, self.admin_port = program, free_port()
        self.config = os.path.join(folder, "dualbus.yaml")
        with open(self.config, "w") as file:
            json.dump({  # which is YAML, too
                "listen": {"address": "127.0.0.1", "port": self.port},
                "admin": {"address": "127.0.0.1", "port": self.admin_port},
                "workers": 1,
                "buses": {bus.name: {"id_slot": slot, "endpoint": f"127.0.0.1:{bus.port}"}
                          for slot, bus in enumerate(buses, 1)},
                "anchor": ENGINE_LOGIC,
                "routing": {"default_bus": ENGINE_LOGIC, "types": {MARKETDATA: MARKETDATA_TYPES}},
                "missing_group": {"action": "create", "start": "0"},
            }, file, indent=1)

    def start(self):
        return self.launch(self.program, "--config", self.config)

    def page(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{name}", timeout=5) as answer:
            return answer.read().decode()

    def answers(self):
        try:
            return self.page("/readyz?all") != ""
        except OSError:  # also of a status that is not 200
            return False

    def samples(self):
        """(name, labels, value) of each sample of /metrics."""
        found = (SAMPLE.match(line) for line in self.page("/metrics").splitlines())
        return [(each[1], dict(LABEL.findall(each[2] or "")), float(each[3])) for each in found if each]

    def snapshot(self):
        return {"time": time.monotonic(), "cpu": self.cpu_seconds()}


@contextlib.contextmanager
def one_redis(folder):
    """([the Redis], no daemon)"""
    server = Redis("redis", folder)
    try:
        yield [server.start()], None
    finally:
        server.end()


@contextlib.contextmanager
def two_buses(folder, program):
    """([both buses], the daemon before them)"""
    buses = [Redis(MARKETDATA, folder), Redis(ENGINE_LOGIC, folder)]
    daemon = Daemon(program, folder, buses)
    try:
        for bus in buses:
            bus.start()
        yield buses, daemon.start()
    finally:
        for server in (daemon, *buses):
            server.end()
