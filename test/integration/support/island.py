"""A network of a test's own, and a second one behind a cable that can be cut: packets are lost then, and nobody is told.

It takes root, or at least the right to make network namespaces; a test without it is skipped.
"""
import ctypes
import os
import subprocess
import unittest

import redis

from support.servers import Process, Redis, wait_for

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.77.0.1", "10.77.0.2"
MAC = {HERE: "02:00:00:00:00:01", THERE: "02:00:00:00:00:02"}
NOBODY = "02:00:00:00:00:99"


class Island:
    """As long as the test runs, its thread and all threads and processes that it starts are in the network HERE."""

    def __init__(self, test):
        self._libc = ctypes.CDLL(None, use_errno=True)
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if self._libc.unshare(CLONE_NEWNET) != 0:
            os.close(before)
            raise unittest.SkipTest("network namespaces need root: " + os.strerror(ctypes.get_errno()))
        test.addCleanup(self._leave, before)
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], preexec_fn=Process.before_exec)
        test.addCleanup(self._end)
        own = os.readlink("/proc/thread-self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{self._holder.pid}/ns/net") != own, "a second network")
        self._inside = {HERE: [], THERE: ["nsenter", "--net", "--target", str(self._holder.pid)]}
        try:
            self._ip(HERE, "link add cable type veth peer name cable netns", str(self._holder.pid))
            for side in (HERE, THERE):
                self._ip(side, "link set lo up")
                self._ip(side, "link set cable up address", MAC[side])
                self._ip(side, "address add dev cable", side + "/24")
        except (OSError, subprocess.CalledProcessError) as error:
            raise unittest.SkipTest(f"no cable between two networks: {error}")
        self.mend()

    def _ip(self, side, words, *more):
        subprocess.run([*self._inside[side], "ip", *words.split(), *more], check=True)

    def _leave(self, before):
        self._libc.setns(before, CLONE_NEWNET)
        os.close(before)

    def _end(self):
        self._holder.kill()
        self._holder.wait()

    def cut(self):
        """Both sides send to an address of the cable that nobody has."""
        for side, other in ((HERE, THERE), (THERE, HERE)):
            self._ip(side, f"neighbour replace {other} dev cable nud permanent lladdr", NOBODY)

    def mend(self):
        for side, other in ((HERE, THERE), (THERE, HERE)):
            self._ip(side, f"neighbour replace {other} dev cable nud permanent lladdr", MAC[other])

    def server(self, name, directory, *options, **more):
        """A Redis of a topology: the first one is behind the cable."""
        return (_Distant if name == "a" else _Near)(self, name, directory, *options, **more)

    def enter(self):
        """In a process that is to be behind the cable."""
        with open(f"/proc/{self._holder.pid}/ns/net", encoding="utf-8") as there:
            if self._libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


class _Near(Redis):
    host = HERE

    def __init__(self, island, name, directory, *options, **more):
        super().__init__(name, directory, *options, "--bind", self.host, "127.0.0.1", **more)
        self._island = island
        self.address = (self.host, self.port)
        self.endpoint = f"{self.host}:{self.port}"

    def client(self, **options):
        return redis.Redis(host=self.host, port=self.port, password=self.password, **options)

    def local_client(self, **options):
        """Not over the network."""
        return redis.Redis(unix_socket_path=self.unix_socket, password=self.password, **options)


class _Distant(_Near):
    host = THERE

    def before_exec(self):
        Redis.before_exec()
        self._island.enter()
