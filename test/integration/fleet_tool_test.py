"""dualbus-fleet, the load tool: what it does to a Redis and to the daemon, and that its check notices what goes wrong.

The program is named by the environment variable DUALBUS_FLEET, or lies where a build puts it, seen from the daemon's.
"""
import contextlib
import json
import os
import signal
import subprocess
import time
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, PATIENCE, StackTest, free_port, wait_for
from support.servers import daemon_program

ENGINES = {"portfolio", "collateral", "ml", "factor", "strategy", "websocket", "features"}
MARKETDATA_TYPES = ["market_data", "price_update", "trade_execution", "historical_data", "cache_updates"]
READ = "nautilus-ml-streams"
GROUPS_OF_ALL = 7 * 5  # seven engines read five streams each


def fleet_program():
    program = os.environ.get("DUALBUS_FLEET")
    return os.path.abspath(program) if program else os.path.join(os.path.dirname(daemon_program()), "../fleet/dualbus-fleet")


class Run:
    """A run of the tool that may be looked at meanwhile."""

    def __init__(self, test, server, *arguments, seconds=1, rate=40, report_path=None):
        self.report_path = report_path or os.path.join(test.stack.directory, f"fleet-{free_port()}.json")
        command = [fleet_program(), "--port", str(server.port), "--seconds", str(seconds), "--warmup", "0.2", "--rate", str(rate),
                   "--json", self.report_path, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.end)
        self.output = ""

    def await_measuring(self):
        line = self.process.stderr.readline()
        if "measuring" not in line:
            raise AssertionError(f"{line}{self.process.stderr.read()}")
        return self

    def wait(self):
        """The exit status."""
        self.output, errors = self.process.communicate(timeout=PATIENCE)
        self.output += errors
        return self.process.returncode

    def report(self):
        with open(self.report_path) as file:
            return json.load(file)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class FleetToolTest(StackTest):
    config = {"routing": {"types": {MARKETDATA: MARKETDATA_TYPES}}}

    def run_fleet(self, server, *arguments, status=0, **options):
        run = Run(self, server, *arguments, **options)
        self.assertEqual(run.wait(), status, run.output)
        return run.report()

    def check_passed(self, report, streams=18):
        self.assertEqual(report["check"], "passed")
        published, deliveries = report["published"], report["deliveries"]
        # 7 engines, 20 messages a second, 2.2 s, to 18 streams; a busy machine may take longer for its turns.
        self.assertGreater(published["entries"], 1000)
        self.assertEqual(published["entries"], published["marketdata"] + published["engine_logic"])
        self.assertGreater(min(published["marketdata"], published["engine_logic"]), published["entries"] / 4)
        # All streams get the same number, up to the broadcast that a lost connection cuts short.
        self.assertEqual(deliveries["delivered"], published["entries"] // streams * GROUPS_OF_ALL)
        self.assertEqual([deliveries[what] for what in ("missing", "duplicates", "wrong", "foreign")], [0] * 4)
        self.assertEqual(report["calls"]["failed"], 0)
        self.assertEqual(report["calls"]["availability"], 1)
        for bus in (MARKETDATA, ENGINE_LOGIC):
            latency = report["latency_ms"][bus]
            self.assertGreater(latency["count"], 0)
            self.assertLessEqual([0, latency["p50"], latency["p99"], latency["p99.9"]],
                                 [latency["p50"], latency["p99"], latency["p99.9"], latency["max"]])
        self.assertGreater(report["cpu_seconds"], 0)
        return published

    def calls(self, server, command):
        return self.client(server).info("commandstats").get(f"cmdstat_{command}", {"calls": 0, "failed_calls": 0})

    def pending(self, server):
        client = self.client(server)
        return sum(group["pending"] for key in client.scan_iter(_type="stream") for group in client.xinfo_groups(key))

    def test_directly_every_figure_is_that_of_redis(self):
        server = self.stack.marketdata
        self.client(server).config_resetstat()
        run = Run(self, server).await_measuring()
        clients = [each for each in self.client(server).client_list() if each["cmd"] in ("xadd", "xreadgroup", "xack", "NULL")]
        self.assertEqual(len(clients), 14)
        self.assertEqual({each["name"] for each in clients}, {""})
        self.assertEqual(run.wait(), 0, run.output)
        report = run.report()
        published = self.check_passed(report)
        self.assertEqual(self.calls(server, "xadd")["calls"], published["entries"])
        self.assertEqual(self.calls(server, "xreadgroup")["calls"], report["polls"]["total"])
        self.assertEqual(self.calls(server, "xack")["calls"], report["deliveries"]["delivered"])
        self.assertEqual(self.pending(server), 0)
        self.assertIn("check           passed", run.output)

    def test_through_the_daemon_messages_are_on_their_buses(self):
        published = self.check_passed(self.run_fleet(self.daemon))
        for name, bus in self.stack.buses.items():
            self.assertEqual(sum(self.client(bus).xlen(key) for key in self.client(bus).keys("nautilus-*")), published[name])
            self.assertEqual(self.pending(bus), 0)

    def test_a_migrated_fleet_writes_to_both_buses_itself(self):
        report = self.run_fleet(self.stack.engine_logic, "--migrated", "--marketdata", self.stack.marketdata.endpoint)
        published = self.check_passed(report)
        for name, bus in self.stack.buses.items():
            self.assertEqual(sum(self.client(bus).xlen(key) for key in self.client(bus).keys("nautilus-*")), published[name])

    def test_every_way_to_read_gets_everything(self):
        for arguments in (["--poll", "spin"], ["--poll", "block:0"], ["--readers", "together", "--batch-acks"],
                          ["--readers", "parallel", "--pipeline"]):
            for server in (self.stack.engine_logic, self.daemon):
                with self.subTest(arguments=arguments, server=server.name):
                    self.stack.flush()
                    self.check_passed(self.run_fleet(server, *arguments))

    def test_more_engines_than_names_and_messages_to_some_streams_only(self):
        report = self.run_fleet(self.daemon, "--engines", 20, "--targets", 3, rate=10)
        self.assertEqual(report["check"], "passed")
        self.assertGreater(report["published"]["entries"], 20 * 3)

    def test_missing_groups_fail_every_poll_and_the_check_says_that_nothing_was_delivered(self):
        report = self.run_fleet(self.stack.marketdata, "--missing-groups", "--drain", 0.1, status=1)
        self.assertEqual(report["check"], "failed")
        self.assertEqual(report["deliveries"]["delivered"], 0)
        self.assertEqual(report["deliveries"]["missing"], report["published"]["entries"] // 18 * GROUPS_OF_ALL)
        self.assertGreater(report["polls"]["nogroup"], 100)
        self.assertEqual(report["calls"]["errors"], {"NOGROUP": report["calls"]["failed"]})
        self.assertLess(report["calls"]["availability"], 0.9)
        self.stack.flush()
        self.assertEqual(self.run_fleet(self.stack.marketdata, "--missing-groups", "--no-check")["check"], "off")

    def test_the_check_notices_removed_messages(self):
        for server in (self.stack.engine_logic, self.daemon):
            with self.subTest(server=server.name):
                self.stack.flush()
                run = Run(self, server, "--drain", 0.5).await_measuring()
                client = self.client(server)
                while run.process.poll() is None:
                    client.xtrim(READ, maxlen=0, approximate=False)
                self.assertEqual(run.wait(), 1, run.output)
                self.assertGreater(run.report()["deliveries"]["missing"], 0)
                self.assertIn(f"of {READ} for ", run.output)

    def test_the_check_notices_messages_that_come_again_or_from_elsewhere(self):
        server = self.stack.engine_logic
        run = Run(self, server).await_measuring()
        client = self.client(server)
        entry = wait_for(lambda: client.xrange(READ, count=1), "a message")[0]
        client.xgroup_setid(READ, "portfolio-group", "0")
        client.xadd("nautilus-factor-streams", entry[1])
        self.assertEqual(run.wait(), 1, run.output)
        deliveries = run.report()["deliveries"]
        self.assertEqual(deliveries["missing"], 0)
        self.assertGreater(deliveries["duplicates"], 0)
        self.assertEqual(deliveries["wrong"], 5)  # one for each group that reads the other stream

    def test_engines_reconnect_and_recover_what_was_on_its_way(self):
        for server in (self.stack.engine_logic, self.daemon):
            with self.subTest(server=server.name):
                self.stack.flush()
                run = Run(self, server, "--recover").await_measuring()
                with contextlib.closing(self.client(server)) as client:
                    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                self.assertEqual(run.wait(), 0, run.output)
                report = run.report()
                self.assertGreaterEqual(report["reconnects"], 14)
                self.assertEqual(set(report["calls"]["errors"]) - {"CONNECTION-LOST"}, set())

    def test_names_are_said_only_on_request(self):
        run = Run(self, self.daemon, "--names").await_measuring()
        names = {each["name"] for each in self.client(self.daemon).client_list()}
        self.assertEqual(names - {""}, ENGINES)
        self.assertEqual(run.wait(), 0, run.output)

    def test_a_flood_goes_to_one_bus_and_disturbs_no_check(self):
        # The engines wait behind the flood as well: on a busy machine long enough to publish little.
        report = self.run_fleet(self.daemon, "--flood", MARKETDATA, "--pipeline")
        self.assertEqual(report["check"], "passed")
        self.assertGreater(report["deliveries"]["delivered"], 0)
        self.assertGreater(report["flood"]["stored"], report["published"]["entries"])
        self.assertEqual(report["flood"]["failed"], 0)
        self.assertTrue(self.client(self.stack.marketdata).keys("flood-marketdata-*"))
        self.assertEqual(self.client(self.stack.engine_logic).keys("flood-*"), [])

    def test_it_ends_early_and_orderly_when_asked_to(self):
        run = Run(self, self.daemon, seconds=0).await_measuring()
        time.sleep(0.5)  # what is measured; nothing waits for it
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(), 0, run.output)
        self.assertEqual(run.report()["check"], "passed")

    def test_it_says_why_it_cannot_start(self):
        class Nobody:
            port = free_port()

        os.mkdir(os.path.join(self.stack.directory, "folder"))
        run = Run(self, self.daemon, report_path=os.path.join(self.stack.directory, "folder"))
        self.assertEqual(run.wait(), 2)
        self.assertIn("cannot write " + run.report_path, run.output)
        run = Run(self, Nobody)
        self.assertEqual(run.wait(), 2)
        self.assertIn(f"127.0.0.1:{Nobody.port}: no answer", run.output)


if __name__ == "__main__":
    unittest.main()
