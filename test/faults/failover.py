#!/usr/bin/env python3
"""Masters that die under load, and replicas that take their place: does every XADD that was answered with an ID live on (T5)?

  failover.py --failovers 50                 with `acknowledge: {replicas: 1}` and one replica: none may be lost
  failover.py --failovers 50 --replicas 2    the replica that is the furthest is promoted, as Sentinel does
  failover.py --failovers 50 --without       without `acknowledge`: says how many are lost, and fails never

Each replica has its master at the other end of a wire that takes a moment. When the master is killed, the wire loses what is on it, as
a network does whose machine dies. Then the replica is promoted, and asked for every ID. The next master begins empty at the same
address, so the daemon finds it by itself.
"""
import argparse
import collections
import contextlib
import os
import random
import selectors
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from support import resp  # noqa: E402 pylint: disable=wrong-import-position
from support.servers import Daemon, Redis, free_port, wait_for  # noqa: E402 pylint: disable=wrong-import-position

BUS = "orders"


class Wire:
    """The way of one replica to its master. What the master sends arrives `delay` seconds later; cut() loses what is on the way."""

    def __init__(self, address, delay):
        self.address, self.delay = address, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._cut = False
        threading.Thread(target=self._run, daemon=True).start()

    def cut(self):
        self._cut = True
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _run(self):
        with contextlib.suppress(OSError, ValueError, KeyError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self.address)
                self._sockets += [near, far]
                threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()

    def _pass_on(self, near, far):
        """`far` is the master."""
        on_the_way = collections.deque()
        selector = selectors.DefaultSelector()
        with contextlib.suppress(OSError, ValueError, KeyError):
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(end, selectors.EVENT_READ)
            while not self._cut:
                patience = max(0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
                for key, _ in selector.select(patience):
                    data = key.fileobj.recv(1 << 18)
                    if not data:
                        return
                    if key.fileobj is near:
                        far.sendall(data)
                    else:
                        on_the_way.append((time.monotonic() + self.delay, data))
                while on_the_way and not self._cut and on_the_way[0][0] <= time.monotonic():
                    near.sendall(on_the_way.popleft()[1])


class Publisher(threading.Thread):
    """Publishes without a pause until its bus is gone."""

    def __init__(self, address, key, number):
        super().__init__(daemon=True)
        self.address, self.key, self.number = address, key, number
        self.answered, self.unconfirmed, self.unknown, self.refused = [], 0, 0, 0
        self.over = False

    def run(self):
        count = 0
        with resp.Connection(self.address, timeout=30) as connection:
            while not self.over:
                count += 1
                answer = connection.call("XADD", self.key, "*", "message_type", "order_request", "n", f"{self.number}-{count}")
                if isinstance(answer, bytes):
                    self.answered.append(answer)
                elif answer.startswith("UNCONFIRMED "):
                    self.unconfirmed += 1
                elif answer.startswith("BUSDOWN "):
                    self.refused += 1
                    return
                else:
                    self.unknown += 1
                    return


class Failovers:
    def __init__(self, options):
        self.options = options
        self.chance = random.Random(options.seed)
        self.directory = tempfile.mkdtemp(prefix="dualbus-failover-")
        self.master = Redis("master", self.directory).start()
        self.replicas = [Redis(f"replica-{n}", self.directory, "--repl-diskless-sync-delay", "0").start() for n in range(options.replicas)]
        acknowledge = {} if options.without else {"acknowledge": {"replicas": 1, "timeout": "500ms", "types": ["order_*"]}}
        self.daemon = Daemon(self.directory, {
            "listen": {"address": "127.0.0.1", "port": free_port()},
            "admin": {"address": "127.0.0.1", "port": free_port()},
            "buses": {BUS: {"id_slot": 0, "endpoint": self.master.endpoint, **acknowledge}},
            "backend": {"backoff_min": "5ms", "backoff_max": "50ms"},
        }).start()
        self.lost = []
        self.totals = collections.Counter()

    def close(self):
        self.daemon.terminate()
        for server in (self.master, *self.replicas):
            server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self):
        for number in range(self.options.failovers):
            self.one(number)
            if (number + 1) % 10 == 0:
                print(f"{number + 1} failovers, {self.totals['answered']} answered, {self.totals['lost']} lost", flush=True)

    def follow(self):
        """The replicas follow the master, over new wires."""
        wires = [Wire(self.master.address, self.options.delay / 1000 * self.chance.uniform(0.2, 1)) for _ in self.replicas]
        for replica, wire in zip(self.replicas, wires):
            with replica.client() as client:
                client.replicaof("127.0.0.1", wire.port)
        with self.master.client() as client:
            wait_for(lambda: sum(state["state"] == "online" for name, state in client.info("replication").items()
                                 if name.startswith("slave") and isinstance(state, dict)) == len(self.replicas), "the replicas are there")
        return wires

    def ready(self):
        with self.daemon.client() as client:
            def answers():
                with contextlib.suppress(Exception):
                    return client.xadd("ready", {"message_type": "order_request"})
            wait_for(answers, "the daemon has the new master")

    def one(self, number):
        wires = self.follow()
        self.ready()
        key = f"el:orders:{number}"
        publishers = [Publisher(self.daemon.address, key, n) for n in range(self.options.clients)]
        for publisher in publishers:
            publisher.start()
        time.sleep(self.chance.uniform(0.05, self.options.seconds))
        self.master.kill()
        for wire in wires:
            wire.cut()
        for publisher in publishers:
            publisher.over = True
            publisher.join(60)
        survivor = self.promote()
        with survivor.client() as client:
            there = {entry for entry, _ in client.xrange(key)}
        for publisher in publishers:
            gone = [answer for answer in publisher.answered if answer not in there]
            self.lost += [(number, answer) for answer in gone]
            self.totals.update(answered=len(publisher.answered), unconfirmed=publisher.unconfirmed, unknown=publisher.unknown,
                               refused=publisher.refused, lost=len(gone))
        self.totals["failovers with losses"] += any(failover == number for failover, _ in self.lost)
        self.master.start()

    def promote(self):
        """The replica that has most becomes a master."""
        def offset(replica):
            with replica.client() as client:
                return client.info("replication")["slave_repl_offset"]
        survivor = max(self.replicas, key=offset)
        with survivor.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        return survivor

    def report(self):
        print(f"{self.options.failovers} failovers, {self.options.replicas} replicas, "
              f"{'no' if self.options.without else 'with'} acknowledge, seed {self.options.seed}: "
              + ", ".join(f"{self.totals[name]} {name}" for name in
                          ("answered", "lost", "failovers with losses", "unconfirmed", "unknown", "refused")))
        for failover, answer in self.lost[:5]:
            print(f"  lost in failover {failover}: {answer.decode()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--failovers", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="of load before a master dies, at most")
    parser.add_argument("--delay", type=float, default=3, help="of the way to a replica, milliseconds at most")
    parser.add_argument("--without", action="store_true", help="without acknowledge")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    failovers = Failovers(options)
    try:
        failovers.run()
    finally:
        failovers.close()
    failovers.report()
    if failovers.totals["answered"] == 0:
        sys.exit("nothing was answered: the test shows nothing")
    if failovers.lost and not options.without:
        sys.exit(1)


if __name__ == "__main__":
    main()
