#!/usr/bin/python3
"""Two daemons before the same buses, behind the HAProxy of deploy/haproxy.cfg with the addresses of this test.

A1: one dead Redis takes neither daemon out. A3: a daemon that drains gets no new clients, and serves the old ones to the end.
A4: a daemon that is killed is taken out, and clients that connect anew get an answer.
"""
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
import unittest

from support.harness import MARKETDATA, ROOT, Daemon, Process, Stack, free_port, merge, wait_for
from support.resp import Connection, ReplyError

CLIENTS = 6


class Haproxy(Process):
    def __init__(self, directory, daemons):
        super().__init__("haproxy", directory)
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.stats = os.path.join(tempfile.mkdtemp(prefix="haproxy-"), "stats")  # the path of a socket must be short
        with open(os.path.join(ROOT, "deploy", "haproxy.cfg")) as file:
            config = file.read()
        for pattern, text in ((r"^global$", f"global\n    stats socket {self.stats}"),
                              (r"bind :6379", f"bind 127.0.0.1:{self.port}"),
                              (r"maxconn 20000", "maxconn 500"),
                              # Checks come often and may take long: a busy machine is no fault.
                              (r"inter 1s", "inter 200ms"), (r"timeout connect 1s", "timeout connect 20s\n    timeout check 20s"),
                              *((rf"server {name} \S+", f"server {name} 127.0.0.1:{daemon.port} port {daemon.admin_port}")
                                for name, daemon in daemons.items())):
            config, count = re.subn(pattern, text, config, flags=re.MULTILINE)
            assert count == 1, pattern
        self.config = os.path.join(directory, "haproxy.cfg")
        with open(self.config, "w") as file:
            file.write(config)

    def start(self):
        self.launch(["haproxy", "-db", "-f", self.config])
        wait_for(lambda: os.path.exists(self.stats) or not self.running(), "haproxy serves")
        assert self.running(), self.log()
        return self

    def end(self):
        self.kill()
        shutil.rmtree(os.path.dirname(self.stats))

    def column(self, name):
        """server -> its value in a column of `show stat`."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.stats)
            client.sendall(b"show stat\n")
            with client.makefile() as answer:
                header, *rows = [line.lstrip("# ").rstrip("\n").split(",") for line in answer if line.strip()]
        at = [header.index(each) for each in ("svname", name)]
        return {row[at[0]]: row[at[1]] for row in rows if row[0] == "dualbusd" and row[at[0]] != "BACKEND"}


class Client:
    """Publishes through HAProxy, and connects anew when its connection ends."""

    def __init__(self, address, name):
        self.address, self.name = address, name
        self.sent, self.acknowledged, self.errors, self.ended = 0, set(), [], 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        connection = None
        while not self.stopped.is_set():
            try:
                connection = connection or Connection(self.address, timeout=20)
                name = f"{self.name}-{self.sent}"
                self.sent += 1
                reply = connection.call("XADD", "s", "*", "message_type", "order_request", "name", name)
                if isinstance(reply, ReplyError):
                    self.errors.append(reply)
                else:
                    self.acknowledged.add(name.encode())
            except socket.timeout as error:
                self.errors.append(error)
                return
            except OSError as error:
                self.ended += 1
                if connection is None:
                    self.errors.append(error)  # the address refuses
                    return
                connection.close()
                connection = None
        if connection:
            connection.close()

    def stop(self):
        self.stopped.set()
        self.thread.join(30)


class HaproxyTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack({"limits": {"drain_delay": "3s"}})
        self.addCleanup(self.stack.end)
        second = merge(self.stack.config, {"listen": {"port": free_port()}, "admin": {"port": free_port()}})
        other = Daemon(self.stack.directory, second, name="dualbusd-2")
        self.addCleanup(other.kill)
        other.start()
        self.daemons = {"one": self.stack.daemon, "two": other}
        self.haproxy = Haproxy(self.stack.directory, self.daemons)
        self.addCleanup(self.haproxy.end)
        self.haproxy.start()
        wait_for(lambda: self.haproxy.column("check_status") == {"one": "L7OK", "two": "L7OK"}, "both are checked")

    def clients(self):
        started = [Client(self.haproxy.address, f"c{number}") for number in range(CLIENTS)]
        for client in started:
            self.addCleanup(client.stop)
        self.await_traffic(started)
        return started

    @staticmethod
    def await_traffic(clients, more=30):
        goal = [client.sent + more for client in clients]
        wait_for(lambda: all(client.sent >= least or client.errors for client, least in zip(clients, goal)), "all go on")

    def place(self, connection):
        """The name of the daemon that a connection leads to."""
        port = int(re.search(rb"tcp_port:(\d+)", connection.call("INFO", "server"))[1])
        return next(name for name, daemon in self.daemons.items() if daemon.port == port)

    def new_place(self):
        with Connection(self.haproxy.address, timeout=20) as connection:
            return self.place(connection)

    def connect_to(self, name):
        while True:
            connection = Connection(self.haproxy.address, timeout=20)
            self.addCleanup(connection.close)
            if self.place(connection) == name:
                return connection

    def check_clients(self, clients):
        for client in clients:
            client.stop()
            self.assertEqual(client.errors, [])
        with self.stack.engine_logic.client() as server:
            stored = {fields[b"name"] for _, fields in server.xrange("s")}
        for client in clients:
            self.assertEqual(client.acknowledged - stored, set())

    def test_A1_one_dead_redis_takes_neither_daemon_out(self):
        clients = self.clients()
        self.stack.marketdata.kill()
        for daemon in self.daemons.values():
            wait_for(lambda d=daemon: d.fetch(f"/readyz?bus={MARKETDATA}")[0] == 503, "the loss is noticed")
        began = time.monotonic()
        while time.monotonic() - began < 1.5:  # three times as long as checks that fail need to take a daemon out
            self.await_traffic(clients)
        self.assertEqual(self.haproxy.column("status"), {"one": "UP", "two": "UP"})
        self.assertEqual(self.haproxy.column("chkfail"), {"one": "0", "two": "0"})
        self.check_clients(clients)
        self.assertEqual([client.ended for client in clients], [0] * CLIENTS)

    def test_A3_new_clients_avoid_a_daemon_that_drains_and_old_ones_stay_to_the_end(self):
        old, clients = self.connect_to("one"), self.clients()
        self.daemons["one"].signal(signal.SIGUSR1)
        wait_for(lambda: self.haproxy.column("status")["one"].startswith("DOWN"), "haproxy has noticed")
        self.assertEqual({self.new_place() for _ in range(10)}, {"two"})
        self.assertEqual(old.call("SET", "k", 1), "OK")
        self.assertTrue(self.daemons["one"].running())
        self.assertGreater(self.daemons["one"].metrics().value("dualbus_clients"), 0)
        served = 0
        try:
            while old.call("SET", "k", served) == "OK":
                served += 1
        except OSError:
            pass
        self.assertEqual(self.daemons["one"].process.wait(30), 0)
        self.assertGreater(served, 0)
        self.await_traffic(clients)
        self.check_clients(clients)
        self.assertGreater(sum(client.ended for client in clients), 0)
        self.assertLessEqual(max(client.ended for client in clients), 1)

    def test_A4_a_killed_daemon_is_taken_out_and_comes_back(self):
        clients = self.clients()
        self.daemons["one"].kill()
        self.assertEqual({self.new_place() for _ in range(10)}, {"two"})  # before the checks notice, too
        wait_for(lambda: self.haproxy.column("status")["one"].startswith("DOWN"), "haproxy has noticed")
        self.await_traffic(clients)
        self.check_clients(clients)
        self.daemons["one"].start()
        wait_for(lambda: "one" in {self.new_place() for _ in range(4)}, "it gets clients again")


if __name__ == "__main__":
    unittest.main()
