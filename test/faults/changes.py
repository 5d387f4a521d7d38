"""Reloads of every kind: the address of a bus, its password, its state, the anchor, rules, users, limits, a wrong file; and those
that start new workers: the list of buses, the listeners, the number of workers."""
import os
import time

import paths  # noqa: F401 pylint: disable=unused-import
from support.harness import ENGINE_LOGIC, MARKETDATA, merge


class Changes:
    """Reloads of the daemon of a stack, each of which leaves a working configuration of the same buses, in which
    `draining.quiet` is short."""

    def __init__(self, stack):
        self.daemon, self.buses = stack.daemon, stack.buses
        self.third = stack.add_redis("third")
        self.socket = os.path.join(stack.directory, "engines.sock")
        self.secret_file = os.path.join(stack.directory, "secret")
        self.count = self.moves = 0

    def reload(self, changes, accepted=True):
        wanted = merge(self.daemon.config, changes)
        self.daemon.reload(wanted)
        if self.daemon.metrics().value("dualbus_config_last_reload_successful") != accepted:
            raise AssertionError(f"the reload was {'refused' if accepted else 'accepted'}: {self.daemon.log()[-1500:]}")
        if accepted:
            self.daemon.config = wanted

    def address(self):
        name = (MARKETDATA, ENGINE_LOGIC)[self.moves % 2]
        self.moves += 1
        bus, now = self.buses[name], self.daemon.config["buses"][name]["endpoint"]
        there = bus.unix_socket if now == bus.endpoint else bus.endpoint
        line = f"bus '{name}': is at {there} now"
        seen = self.daemon.log().count(line)
        self.reload({"buses": {name: {"endpoint": there}}})
        self.daemon.wait_for_log(line, seen + 1)

    def password(self):
        bus, secret = self.buses[MARKETDATA], f"secret{self.count}"
        with bus.client() as client:
            client.config_set("requirepass", secret)
        bus.password = secret
        with open(self.secret_file, "w", encoding="utf-8") as file:
            file.write(secret)
        self.reload({"buses": {MARKETDATA: {"password_file": self.secret_file}}})

    def state(self):
        types = self.daemon.config["routing"]["types"]
        self.reload({"buses": {MARKETDATA: {"state": "draining"}}, "anchor": ENGINE_LOGIC,
                     "routing": {"types": {MARKETDATA: None, ENGINE_LOGIC: sum(types.values(), [])}}})
        time.sleep(0.2)
        self.reload({"buses": {MARKETDATA: {"state": "active"}}, "routing": {"types": types}})

    def anchor(self):
        self.reload({"anchor": MARKETDATA if self.daemon.config["anchor"] == ENGINE_LOGIC else ENGINE_LOGIC})

    def types(self):
        types = {name: list(listed) for name, listed in self.daemon.config["routing"]["types"].items()}
        types[ENGINE_LOGIC].append(types[MARKETDATA].pop(0))
        types[MARKETDATA].append(types[ENGINE_LOGIC].pop(0))
        self.reload({"routing": {"types": types}})

    def users(self):
        self.reload({"auth": {"users": {"default": {"nopass": True, "commands": ["+@all"], "keys": ["*"], "channels": ["*"]},
                                        f"user{self.count}": {"nopass": True}}}})

    def limits(self):
        self.reload({"limits": {"max_clients": 5000 + self.count}, "backend": {"request_timeout": f"{5000 + self.count}ms"}})

    def wrong_file(self):
        self.reload({"buses": {ENGINE_LOGIC: {"endpoint": "127.0.0.1:1"}}, "limits": {"max_clients": 1}}, accepted=False)

    def bus_list(self):
        # Nothing is routed to it, so that it is drained.
        self.reload({"buses": {"third": {"id_slot": 5, "endpoint": self.third.endpoint, "state": "draining"}}, "retired_slots": None})
        self.reload({"buses": {"third": None}, "retired_slots": [5]})

    def listeners(self):
        self.reload({"listen": {"unix_socket": None if self.daemon.config["listen"].get("unix_socket") else self.socket}})

    def workers(self):
        self.reload({"workers": 2 if self.daemon.config["workers"] == 1 else 1})

    kinds = (address, password, state, anchor, types, users, limits, wrong_file, bus_list, listeners, workers)

    def next(self):
        """The name of what was done."""
        kind = self.kinds[self.count % len(self.kinds)]
        self.count += 1
        kind(self)
        return kind.__name__
