"""A master, its replicas and the Sentinels that watch them, with a password for the servers and another one for the Sentinels."""
import os

import redis

from support.servers import Process, Redis, free_port, wait_for

MASTER = "engines"  # the name that the Sentinels know it by
REDIS_PASSWORD, SENTINEL_PASSWORD = "of-redis", "of-sentinels"
# A master that is silent for so long is down. Short, and not so short that a busy machine looks like a dead one.
DOWN_AFTER_MS = 2000


class Sentinel(Process):
    """A redis-sentinel on a port of its own, with the configuration file that it rewrites itself."""

    def __init__(self, name, directory, host="127.0.0.1"):
        super().__init__(name, directory)
        self.host, self.port = host, free_port()
        self.address = (host, self.port)
        self.endpoint = f"{host}:{self.port}"
        self.config_path = os.path.join(directory, name + ".conf")

    def monitor(self, master, quorum):
        with open(self.config_path, "w") as file:
            file.write("\n".join([
                f"port {self.port}", f"bind {self.host}", f"dir {self.directory}", f"requirepass {SENTINEL_PASSWORD}",
                f"sentinel sentinel-pass {SENTINEL_PASSWORD}", f"sentinel monitor {MASTER} {master.address[0]} {master.port} {quorum}",
                f"sentinel auth-pass {MASTER} {REDIS_PASSWORD}", f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {MASTER} 4000", f"sentinel parallel-syncs {MASTER} 4", ""]))
        return self

    def start(self):
        self.launch(["redis-sentinel", self.config_path])
        wait_for(self.answers, f"{self.name} answers\n{self.log()}")
        return self

    def client(self):
        return redis.Redis(host=self.host, port=self.port, password=SENTINEL_PASSWORD, socket_timeout=5, decode_responses=True)

    def ask(self, *words):
        """The reply to SENTINEL <words>."""
        with self.client() as client:
            client.response_callbacks.clear()  # replies as they come
            return client.execute_command("SENTINEL", *words)

    def answers(self):
        try:
            with self.client() as client:
                return client.ping()
        except redis.RedisError:
            return False

    def state(self):
        flat = self.ask("MASTER", MASTER)
        return dict(zip(flat[::2], flat[1::2]))


class Topology:
    """Servers `a`, `b`, … of which the first one begins as the master, and Sentinels, all of which know one another. With an
    `island` (see island.py) the first server is behind its cable."""

    def __init__(self, test, directory, replicas=2, sentinels=3, started=True, island=None):
        self._test = test
        names = "abcdef"[:1 + replicas]
        options = ("--requirepass", REDIS_PASSWORD, "--masterauth", REDIS_PASSWORD, "--repl-diskless-sync-delay", "0",
                   "--repl-timeout", "60")
        self.servers = [(island.server if island else Redis)(name, directory, *options, password=REDIS_PASSWORD) for name in names]
        for server in self.servers:
            server.start()
            test.addCleanup(server.kill)
        first = self.servers[0]
        for replica in self.servers[1:]:
            replica.client().replicaof(*first.address)
        self.await_replicas(replicas)
        self.sentinels = [Sentinel(f"sentinel{number}", directory, host=self.servers[-1].address[0]).monitor(first, sentinels // 2 + 1)
                          for number in range(sentinels)]
        if started:
            self.start_sentinels()

    def start_sentinels(self):
        for sentinel in self.sentinels:
            sentinel.start()
            self._test.addCleanup(sentinel.kill)
        wait_for(self.complete, "the Sentinels know one another and all servers")

    def complete(self):
        states = [sentinel.state() for sentinel in self.running_sentinels()]
        return all(state["flags"] == "master" and int(state["num-slaves"]) == len(self.servers) - 1
                   and int(state["num-other-sentinels"]) == len(self.sentinels) - 1 for state in states)

    def running_sentinels(self):
        return [sentinel for sentinel in self.sentinels if sentinel.running()]

    def settings(self, password_file):
        """What a bus says about them; `password_file(text)` makes the file of a password."""
        return {"password_file": password_file(REDIS_PASSWORD),
                "sentinel": {"master": MASTER, "sentinels": [sentinel.endpoint for sentinel in self.sentinels],
                             "password_file": password_file(SENTINEL_PASSWORD)}}

    def await_replicas(self, number):
        first = self.servers[0]
        wait_for(lambda: sum("state=online" in str(line) or (isinstance(line, dict) and line.get("state") == "online")
                             for key, line in first.client().info("replication").items() if key.startswith("slave")) >= number,
                 "the replicas have everything")

    def named(self, sentinel=None):
        """The server that a Sentinel names as the master."""
        _, port = (sentinel or self.running_sentinels()[0]).ask("GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(server for server in self.servers if server.port == int(port))

    def await_other_master(self, before):
        """The server that all running Sentinels name instead of `before`."""
        wait_for(lambda: all(self.named(sentinel) is not before for sentinel in self.running_sentinels()), "another master")
        return self.named()

    def failover(self):
        """By hand. The Sentinels refuse while another one is going on."""
        def begun():
            try:
                return self.running_sentinels()[0].ask("FAILOVER", MASTER) == "OK"
            except redis.ResponseError:
                return False
        wait_for(begun, "a failover begins")
