"""slot_marks: buses that bear another slot than the configuration gives them."""
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, Stack, make_config, merge, wait_for
from support.servers import daemon_program

SWAPPED = {"buses": {MARKETDATA: {"id_slot": 2}, ENGINE_LOGIC: {"id_slot": 1}}}
MARK = {MARKETDATA: b"dualbus_db0_slot1", ENGINE_LOGIC: b"dualbus_db0_slot2"}


def libraries(client):
    return sorted(library[1] for library in client.execute_command("FUNCTION", "LIST"))


class SlotMarksTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack({"slot_marks": "function"})
        self.addCleanup(self.stack.end)
        self.direct = {name: bus.client() for name, bus in self.stack.buses.items()}
        for client in self.direct.values():
            self.addCleanup(client.close)

    def launch(self, changes):
        config = make_config({name: bus.endpoint for name, bus in self.stack.buses.items()}, merge({"slot_marks": "function"}, changes))
        daemon = Daemon(self.stack.directory, config, name="second")
        self.addCleanup(daemon.kill)
        daemon.launch([daemon_program(), "--config", daemon.config_path], env=daemon.env)
        return daemon

    def refused(self, changes):
        daemon = self.launch(changes)
        self.assertEqual(daemon.process.wait(20), 1)
        return daemon.log()

    def test_a_daemon_whose_slots_are_swapped_does_not_start(self):
        with self.stack.daemon.connect() as client:
            client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
            client.call("XADD", "s", "*", "message_type", "market_data")
        for name, client in self.direct.items():
            self.assertEqual(libraries(client), [MARK[name]])
        log = self.refused(SWAPPED)
        self.assertRegex(log, rf"bus '{MARKETDATA}' \(127.0.0.1:\d+\) is to have id_slot 2, but bears 'dualbus_db0_slot1'.*FUNCTION DELETE dualbus_db0_slot1")
        self.assertRegex(log, rf"bus '{ENGINE_LOGIC}' .* is to have id_slot 1, but bears 'dualbus_db0_slot2'")
        self.assertIn("cannot start: buses bear other slots", log)
        # Endpoints that were swapped are the same mistake.
        endpoints = {name: bus.endpoint for name, bus in self.stack.buses.items()}
        self.refused({"buses": {MARKETDATA: {"endpoint": endpoints[ENGINE_LOGIC]}, ENGINE_LOGIC: {"endpoint": endpoints[MARKETDATA]}}})
        # One that is right starts, as often as it likes; so does one with the remedy.
        for client in self.direct.values():
            self.assertEqual(len(libraries(client)), 1)
        right = self.launch({})
        wait_for(lambda: right.fetch("/readyz?all")[0] == 200, "it serves")
        self.assertEqual(right.terminate(), 0)
        for name, client in self.direct.items():
            client.execute_command("FUNCTION", "DELETE", MARK[name])
        swapped = self.launch(SWAPPED)
        wait_for(lambda: swapped.fetch("/readyz?all")[0] == 200, "it serves")
        self.assertEqual(swapped.terminate(), 0)

    def test_the_mark_is_kept_with_the_data_and_is_no_key(self):
        bus = self.stack.marketdata
        direct = self.direct[MARKETDATA]
        direct.save()
        bus.kill()
        bus.start()
        self.assertEqual(libraries(direct), [MARK[MARKETDATA]])
        direct.flushall()
        self.assertEqual((libraries(direct), direct.dbsize(), direct.keys(), direct.scan()), ([MARK[MARKETDATA]], 0, [], (0, [])))

    def test_clients_do_not_see_it(self):
        code = "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
        for protocol in (2, 3):
            with self.stack.daemon.connect(protocol=protocol) as client:
                self.assertEqual(client.call("FUNCTION", "LIST"), [])
                self.assertEqual(client.call("FUNCTION", "LOAD", code), b"mine")
                listed = client.call("FUNCTION", "LIST", "WITHCODE")
                self.assertEqual(len(listed), 1)
                self.assertIn(b"mine", str(listed).encode())
                self.assertEqual(client.call("FUNCTION", "DELETE", "mine"), "OK")
                self.assertRegex(client.call("FUNCTION", "LIST", "NOSUCH"), "^ERR")

    def test_databases_of_one_redis_bear_marks_of_their_own(self):
        endpoint = self.stack.marketdata.endpoint
        for _ in range(2):
            daemon = self.launch({"buses": {MARKETDATA: {"endpoint": endpoint, "database": 3}, ENGINE_LOGIC: {"endpoint": endpoint, "database": 4}}})
            wait_for(lambda: daemon.fetch("/healthz")[0] == 200, "it serves")  # pylint: disable=cell-var-from-loop
            self.assertEqual(daemon.terminate(), 0)
        self.assertEqual(libraries(self.direct[MARKETDATA]), [b"dualbus_db0_slot1", b"dualbus_db3_slot1", b"dualbus_db4_slot2"])

    def test_a_bus_that_cannot_be_marked_is_a_warning(self):
        client = self.direct[MARKETDATA]
        client.execute_command("FUNCTION", "FLUSH")
        client.execute_command("ACL", "SETUSER", "default", "-function|load")
        self.stack.engine_logic.kill()
        daemon = self.launch({})
        daemon.wait_for_log(rf"bus '{MARKETDATA}': whether it has id_slot 1 is not known: FUNCTION LOAD: NOPERM")
        daemon.wait_for_log(rf"bus '{ENGINE_LOGIC}': whether it has id_slot 2 is not known: ")
        wait_for(lambda: daemon.fetch("/healthz")[0] == 200, "it serves")
        self.assertEqual(daemon.terminate(), 0)

    def test_a_bus_that_comes_later_with_another_slot_is_told_of(self):
        self.direct[MARKETDATA].save()
        self.stack.marketdata.kill()
        self.direct[ENGINE_LOGIC].execute_command("FUNCTION", "FLUSH")
        daemon = self.launch(SWAPPED)
        daemon.wait_for_log(rf"bus '{MARKETDATA}': whether it has id_slot 2 is not known")
        self.stack.marketdata.start()
        daemon.wait_for_log(rf"error bus '{MARKETDATA}' .* is to have id_slot 2, but bears 'dualbus_db0_slot1'")
        status, text = daemon.fetch("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("is to have id_slot 2", text)
        self.assertEqual(daemon.terminate(), 0)

    def test_without_the_option_there_is_no_mark(self):
        stack = Stack()
        self.addCleanup(stack.end)
        with stack.marketdata.client() as client:
            self.assertEqual(libraries(client), [])


if __name__ == "__main__":
    unittest.main()
