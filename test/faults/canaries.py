"""Clients that measure how long a request takes, and that know what the answer must be; and the fleet that runs beside them."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import paths  # noqa: F401 pylint: disable=unused-import
from support import resp


class Canary(threading.Thread):
    """One client that raises a counter of its own again and again.

    An answer that is an error is noted in `errors`. A counter that is not what it must be is noted in `wrong`: a request that was
    answered with an error may have been carried out or not, one that was answered with a number was carried out once."""

    def __init__(self, daemon, key):
        super().__init__(daemon=True)
        self.connection = daemon.connect(timeout=60)
        self.key = key
        self.stopping = threading.Event()
        self.requests, self.errors, self.wrong, self.reconnects = 0, [], [], 0
        self._slowest, self._begun = 0.0, None

    def run(self):
        least = most = 0
        try:
            while not self.stopping.is_set():
                self._begun = time.monotonic()
                reply = self.connection.call("INCR", self.key)
                self._slowest = max(self._slowest, time.monotonic() - self._begun)
                self._begun = None
                self.requests += 1
                if isinstance(reply, resp.ReplyError):
                    self.errors.append(reply)
                    most += 1
                elif least < reply <= most + 1:
                    least = most = reply
                else:
                    self.wrong.append(f"INCR {self.key}: {reply!r}, and {least + 1} to {most + 1} was expected")
                    return
                time.sleep(0.001)
        except (OSError, EOFError) as error:
            self.reconnects += 1  # it would have to
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            self.connection.close()

    def take_slowest(self):
        """Since it was asked last, with the request that still waits."""
        begun = self._begun
        slowest, self._slowest = max(self._slowest, time.monotonic() - begun if begun else 0.0), 0.0
        return slowest


class Load:
    """The fleet and canaries on both buses. As a context manager it ends them whatever happens. `drain`: the seconds in which the
    fleet must have everything in the end."""

    def __init__(self, options, daemon, directory, name, drain=60, canaries=4):
        self._drain = drain
        self._output = os.path.join(directory, f"fleet-{name}.txt")
        self._report = os.path.join(directory, f"fleet-{name}.json")
        self._command = [options.fleet, "--port", str(daemon.port), "--seconds", "0", "--rate", str(options.rate), "--seed", str(options.seed),
                         "--drain", str(drain), "--json", self._report]
        self._fleet = None
        self.figures = {}
        self.canaries = [Canary(daemon, f"{('md', 'el')[number % 2]}:canary-{name}-{number}") for number in range(canaries)]

    def __enter__(self):
        for canary in self.canaries:
            canary.start()
        with open(self._output, "w", encoding="utf-8") as output:
            self._fleet = subprocess.Popen(self._command, stdout=output, stderr=subprocess.PIPE, text=True)
        for line in self._fleet.stderr:
            if "measuring" in line:
                return self
        raise AssertionError(f"the fleet does not run: it ended with status {self._fleet.wait()}")

    def __exit__(self, *_):
        for canary in self.canaries:
            canary.stopping.set()
        if self._fleet.poll() is None:
            self._fleet.kill()
            self._fleet.wait()
        self._fleet.stderr.close()

    def finish(self):
        """Ends the load; the fleet waits until all its messages have been delivered."""
        self._fleet.send_signal(signal.SIGINT)
        self._fleet.wait(self._drain + 60)
        for canary in self.canaries:
            canary.stopping.set()
        for canary in self.canaries:
            canary.join(90)
            if canary.is_alive():
                canary.wrong.append(f"INCR {canary.key} gets no answer")
        with open(self._report, encoding="utf-8") as file:
            self.figures = json.load(file)

    def missing(self):
        """(stream, group) -> how many entries that group never got; of the first twenty such pairs."""
        with open(self._output, encoding="utf-8") as file:
            found = re.findall(r"^missing +(\d+) of (\S+) for (\S+)$", file.read(), re.MULTILINE)
        return {(stream, group): int(count) for count, stream, group in found}

    def slowest(self):
        """Seconds, of all requests since the last call."""
        return max(canary.take_slowest() for canary in self.canaries)

    def requests(self):
        return [canary.requests for canary in self.canaries]

    def errors(self):
        return [error for canary in self.canaries for error in canary.errors]

    def wrong(self):
        return [wrong for canary in self.canaries for wrong in canary.wrong]
