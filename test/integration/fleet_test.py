"""Seven unchanged trading engines, a process each, whose streams lie on two buses without their knowing.

DUALBUS_FLEET_SECONDS sets how long they publish, DUALBUS_FLEET_RATE how many broadcasts an engine makes per second.
"""
import collections
import multiprocessing
import os
import queue
import sys
import time
import unittest

from support.fleet_engine import ENGINES, ENGINE_LOGIC_TYPES, MARKETDATA_TYPES, OWNERS, Engine, group, message, stream, subscriptions
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest
from support.stream_load import LOAD, check_connections

SECONDS = float(os.environ.get("DUALBUS_FLEET_SECONDS", "6"))
RATE = float(os.environ.get("DUALBUS_FLEET_RATE", "4")) * LOAD


class FleetTest(StackTest):
    config = {"routing": {"types": {MARKETDATA: list(MARKETDATA_TYPES), ENGINE_LOGIC: list(ENGINE_LOGIC_TYPES[:-1])}}}

    def test_every_group_gets_every_message_exactly_once(self):
        self.run_fleet(ENGINES, SECONDS, pipelined=False)

    def test_pipelines_of_mixed_types_and_groups_of_several_consumers(self):
        # Two of the engines run twice.
        self.run_fleet(ENGINES + ENGINES[-2:], 0.6 * SECONDS, pipelined=True)

    def run_fleet(self, names, seconds, pipelined):
        self.create_groups(names)
        results = self.run_engines(names, seconds, pipelined)
        self.assertEqual([problem for result in results for problem in result["problems"]], [])
        sent = self.check_buses(results)
        self.check_deliveries(results, sent)
        self.check_groups(names)
        deliveries = sum(len(result["delays"]) for result in results)
        delays = sorted(delay for result in results for delay in result["delays"])
        print(f"{sum(map(len, sent.values()))} messages, {deliveries} deliveries, "
              f"half of them within {1e3 * delays[len(delays) // 2]:.1f} ms", file=sys.stderr)

    def create_groups(self, names):
        """Everybody's own group on its own stream, and on those that it reads. Earlier messages are none of theirs."""
        client = self.client()
        for owner in OWNERS:
            for kind in ("market_data", "order_request"):
                client.xadd(stream(owner), message("nobody", "before", 0, kind), maxlen=100000)
            client.xgroup_create(stream(owner), group(owner), "$", mkstream=True)
        for name in set(names):
            for key in subscriptions(name):
                client.xgroup_create(key, group(name), "$", mkstream=True)

    def run_engines(self, names, seconds, pipelined):
        context = multiprocessing.get_context("fork")
        published, results = context.Barrier(len(names), timeout=seconds + 60), context.Queue()
        engines = [Engine(name, number, self.daemon.port, seconds, RATE, pipelined) for number, name in enumerate(names)]
        processes = [context.Process(target=engine.run, args=(published, results), daemon=True) for engine in engines]
        for process in processes:
            process.start()
            self.addCleanup(process.join)
            self.addCleanup(process.kill)
        time.sleep(seconds / 2)
        check_connections(self, self.stack)
        try:
            found = [results.get(timeout=seconds + 90) for _ in processes]
        except queue.Empty:
            self.fail(f"engines do not end: {[process.exitcode for process in processes]}")
        check_connections(self, self.stack)
        return found

    def check_buses(self, results):
        """Every message is on the bus of its type, once. Returns stream -> names of the messages."""
        sent = {stream(owner): {} for owner in OWNERS}
        for result in results:
            self.assertGreater(len(result["published"]), 0)
            for number, kinds in result["published"]:
                for owner, kind in zip(OWNERS, kinds):
                    sent[stream(owner)][f"{result['instance']}/{number}"] = kind
        for key, expected in sent.items():
            there = collections.Counter()
            for name, bus in self.stack.buses.items():
                for _, fields in self.client(bus, decode_responses=True).xrange(key):
                    kind = fields["message_type"]
                    self.assertEqual(name, MARKETDATA if kind in MARKETDATA_TYPES else ENGINE_LOGIC, kind)
                    if fields["source_engine"] != "nobody":
                        there[fields["correlation_id"], kind] += 1
            self.assertEqual(there, collections.Counter(expected.items()), key)
        return sent

    def check_deliveries(self, results, sent):
        received = collections.defaultdict(collections.Counter)
        for result in results:
            for key in subscriptions(result["name"]):
                received[key, result["name"]].update(result["received"].get(key, ()))
        for (key, name), counts in received.items():
            expected = set(sent[key])
            self.assertEqual(expected - set(counts), set(), f"{name} never got these of {key}")
            self.assertEqual(set(counts) - expected, set(), f"{name} got these of {key}, but nobody published them")
            self.assertEqual([each for each, count in counts.items() if count > 1], [], f"{name} got these of {key} more than once")

    def check_groups(self, names):
        """Nothing is pending anywhere, and the groups that read have nothing left to read."""
        daemon = self.client(decode_responses=True)
        readers = collections.defaultdict(set)
        for name in set(names):
            for key in subscriptions(name):
                readers[key].add(group(name))
        for owner in OWNERS:
            key = stream(owner)
            there = {each["name"]: each for each in daemon.xinfo_groups(key)}
            self.assertEqual(set(there), readers[key] | {group(owner)}, key)
            for name, state in there.items():
                self.assertEqual(state["pending"], 0, f"{key} {name}")
                for server in (daemon, *(self.client(bus) for bus in self.stack.buses.values())):
                    self.assertEqual(server.xpending(key, name)["pending"], 0, f"{key} {name}")
                if name in readers[key]:
                    self.assertIsNone(daemon.execute_command("XREADGROUP", "GROUP", name, "late", "STREAMS", key, ">") or None)


if __name__ == "__main__":
    unittest.main()
