"""Redis servers and the daemon as processes on free ports, started here and ended here; and what the daemon's metrics say.

The daemon's program is named by the environment variable DUALBUSD.
"""
import ctypes
import fcntl
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import redis

from support import resp

PATIENCE = 60


def daemon_program():
    program = os.environ.get("DUALBUSD")
    if not program:
        raise RuntimeError("set the environment variable DUALBUSD to the daemon's program")
    return os.path.abspath(program)


def sanitized():
    """True if the daemon carries a sanitizer, which makes it slower and larger."""
    with open(daemon_program(), "rb") as program:
        content = program.read()
    return b"libasan.so" in content or b"libtsan.so" in content


def wait_for(condition, event, timeout=PATIENCE):
    """The first true value that `condition` returns."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {event}")
        time.sleep(0.01)
    return value


# --- ports -----------------------------------------------------------------------------------------------------------

_port_locks = []


def free_port():
    """A port that no other test takes while this process lives, below those that the kernel gives to clients."""
    folder = os.path.join(tempfile.gettempdir(), "dualbus-test-ports")
    os.makedirs(folder, exist_ok=True)
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        lock = open(os.path.join(folder, str(port)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _port_locks.append(lock)
        return port


# --- processes -------------------------------------------------------------------------------------------------------


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _start_as_daemon():
    _die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # one that comes before the program listens would end it


class Process:
    """A program started here. Its standard error goes into a file."""

    before_exec = staticmethod(_die_with_parent)

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.log_path = os.path.join(directory, name + ".log")
        self.process = None

    def launch(self, command, **options):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, preexec_fn=self.before_exec, **options)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """Returns when no thread of it runs any more."""
        self.signal(signal.SIGSTOP)
        wait_for(lambda: set(self.thread_states()) == {"T"}, f"{self.name} stands still")

    def proceed(self):
        self.signal(signal.SIGCONT)

    def thread_states(self):
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{thread}/stat") as file:
                yield file.read().rpartition(")")[2].split()[0]

    def kill(self):
        """Ends the process without warning."""
        if self.running():
            self.process.kill()
            self.process.wait()

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Redis(Process):
    """A redis-server on a port of its own. `options` are further arguments, e.g. "--requirepass", "x"."""

    def __init__(self, name, directory, *options, password=None):
        super().__init__(name, directory)
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.endpoint = f"127.0.0.1:{self.port}"
        self.unix_socket = os.path.join(directory, name + ".sock")
        self.data = os.path.join(directory, name)
        os.makedirs(self.data, exist_ok=True)
        self.options = list(options)
        self.password = password

    def start(self, wait=True):
        self.launch(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.unix_socket,
                     "--dir", self.data, "--save", "", "--enable-debug-command", "yes", *self.options])
        if wait:
            wait_for(self.answers, f"{self.name} answers\n{self.log()}")
        return self

    def client(self, **options):
        return redis.Redis(port=self.port, password=self.password, **options)

    def connect(self, **options):
        return resp.Connection(self.address, **options)

    def answers(self):
        try:
            with self.client(socket_timeout=2) as client:
                return client.ping()
        except redis.RedisError:
            return False


class Metrics:
    """The samples of one scrape."""

    LINE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = self.LINE.match(line).groups()
                self.samples.append((name, dict(self.LABEL.findall(labels or "")), float(value)))

    def matching(self, name, **labels):
        return [(has, value) for sample, has, value in self.samples
                if sample == name and labels.items() <= has.items()]

    def value(self, name, **labels):
        """The sum of the samples with these labels; 0 if there is none."""
        return sum(value for _, value in self.matching(name, **labels))

    def labels(self, name, label):
        return {has[label] for has, _ in self.matching(name)}


class Daemon(Process):
    """The daemon with a configuration made here. JSON is YAML, too."""

    before_exec = staticmethod(_start_as_daemon)

    def __init__(self, directory, config, env=None, name="dualbusd"):
        super().__init__(name, directory)
        self.config = config
        self.config_path = os.path.join(directory, name + ".yaml")
        self.port = config["listen"]["port"]
        self.admin_port = config["admin"]["port"]
        self.address = ("127.0.0.1", self.port)
        self.env = {**os.environ, "ASAN_OPTIONS": "detect_stack_use_after_return=1", **(env or {})}
        self.write_config(config)

    def write_config(self, config):
        with open(self.config_path + ".new", "w") as file:
            file.write(config if isinstance(config, str) else json.dumps(config, indent=1))
        os.replace(self.config_path + ".new", self.config_path)

    def start(self, page="/readyz?all"):
        """Returns when `page` of the admin listener answers 200: /healthz does without the buses."""
        self.launch([daemon_program(), "--config", self.config_path], env=self.env)
        wait_for(lambda: not self.running() or self.fetch(page)[0] == 200, f"{page} is 200\n{self.log()}")
        if not self.running():
            raise AssertionError(f"the daemon ended with status {self.process.returncode}:\n{self.log()}")
        return self

    def fetch(self, page, timeout=10):
        """Status and body of an admin page; status 0 if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{page}", timeout=timeout) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self):
        status, text = self.fetch("/metrics")
        assert status == 200, f"/metrics: {status}"
        return Metrics(text)

    def client(self, **options):
        return redis.Redis(port=self.port, **options)

    def connect(self, **options):
        return resp.Connection(self.address, **options)

    def wait_for_log(self, pattern, count=1):
        wait_for(lambda: len(re.findall(pattern, self.log())) >= count, f"the log says {pattern!r}\n…{self.log()[-1500:]}")

    def full_log(self):
        """The log with everything in it that the running daemon has said so far: a thread of its own writes it."""
        wait_for(lambda: self.metrics().value("dualbus_log_lines_waiting") == 0, "the log is written")
        return self.log()

    def reload(self, config):
        """Writes the configuration and waits until the daemon has judged it."""
        before = self.metrics().value("dualbus_config_reloads_total")
        self.write_config(config)
        self.signal(signal.SIGHUP)
        wait_for(lambda: self.metrics().value("dualbus_config_reloads_total") == before + 1, "a reload")

    def terminate(self):
        """SIGTERM; the exit status."""
        if self.running():
            self.process.terminate()
            self.process.wait(PATIENCE)
        return self.process.returncode

    def sanitizer_report(self):
        found = re.search(r"(?:==\d+==)?(?:ERROR: \w+Sanitizer|WARNING: ThreadSanitizer)|runtime error:", self.log())
        return self.log()[found.start():][:8000] if found else ""

    def gauges_are_zero(self):
        metrics = self.metrics()
        return all(metrics.value(name) == 0 for name in
                   ("dualbus_clients", "dualbus_requests_in_flight", "dualbus_requests_waiting",
                    "dualbus_requests_abandoned"))
