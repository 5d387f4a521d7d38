"""Reloads that running workers cannot follow: buses added (R2) and removed (R4), listeners (R6), the number of workers. New workers
take the clients over in the same process, and no client notices."""
import os
import signal
import socket
import unittest

from changed_places_test import ChangingTest
from support import resp
from support.hand_over import Crowd, went_unmarked
from support.harness import MARKETDATA, Daemon, free_port, merge, wait_for

NOTHING_CHANGED = "configuration not reloaded: nothing was changed"


class NewWorkersTest(ChangingTest):
    redis_options = ()

    def start(self, changes=None):
        daemon = super().start(changes)
        self.pid = daemon.pid
        return daemon

    def renew(self, changes, accepted=True):
        """Returns when the new workers serve, and the process is the same."""
        count = self.daemon.log().count("configuration reloaded: new workers serve")
        changed = merge(self.config, changes)
        if "admin" in changes:
            self.daemon.write_config(changed)
            self.daemon.process.send_signal(signal.SIGHUP)
            self.daemon.wait_for_log("configuration reloaded: new workers serve", count + 1)
        else:
            self.reload(changes, accepted)
        if accepted:
            self.config = changed
            self.daemon.wait_for_log("configuration reloaded: new workers serve", count + 1)
        self.daemon.port, self.daemon.admin_port = changed["listen"]["port"], changed["admin"]["port"]
        self.daemon.address = ("127.0.0.1", self.daemon.port)
        self.assertTrue(self.daemon.running() and self.daemon.pid == self.pid)

    def refuse(self, changes, *why):
        """The reload is refused, for these reasons, and everything is as before."""
        begun = len(self.daemon.log())
        self.reload(changes, accepted=False)
        said = self.daemon.full_log()[begun:]
        for each in (*why, NOTHING_CHANGED):
            self.assertIn(each, said)

    def third_bus(self, endpoint, **more):
        return {"buses": {"third": {"id_slot": 5, "endpoint": endpoint, **more}}, "routing": {"types": {"third": ["greeks"]}}}


class BusListTest(NewWorkersTest):
    def test_R2_a_bus_is_added_and_its_groups_are_there(self):
        third = self.redis("third")
        self.start()
        client, reader, transaction, subscriber = (self.connect() for _ in range(4))
        identity, run_id = client.call("CLIENT", "ID"), self.run_id(client)
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")
        transaction.call("MULTI")
        self.assertEqual(transaction.call("SET", "k", "v"), "QUEUED")
        subscriber.call("SUBSCRIBE", "news")
        self.renew({**self.third_bus(third.endpoint), "workers": 2})
        self.assertEqual((client.call("CLIENT", "ID"), self.run_id(client)), (identity, run_id))
        self.assertIn("buses: added third: '" + third.endpoint + "' with slot 5", self.daemon.log())
        self.assertRegex(client.call("XADD", "s", "*", "message_type", "greeks", "n", "1"), rb"^\d+-5\d{12}$")
        [[_, [[entry, fields]]]] = reader.read()
        self.assertEqual(fields, [b"message_type", b"greeks", b"n", b"1"])
        self.assertEqual(client.call("XACK", "s", "g", entry), 1)
        self.assertEqual(transaction.call("EXEC"), ["OK"])
        self.assertEqual(client.call("PUBLISH", "news", "hello"), 1)
        self.assertEqual(subscriber.read(), [b"message", b"news", b"hello"])
        with third.client() as direct:
            self.assertEqual([group["name"] for group in direct.xinfo_groups("s")], [b"g"])

    @staticmethod
    def run_id(client):
        [line] = [line for line in client.call("INFO", "server").decode().splitlines() if line.startswith("run_id:")]
        return line

    def test_R2_a_bus_that_cannot_be_used_is_not_added(self):
        self.start()
        nobody = f"127.0.0.1:{free_port()}"
        self.refuse(self.third_bus(nobody), f"buses.third: {nobody} cannot be used: connect: Connection refused")
        self.assertRegex(self.connect().call("XADD", "s", "*", "message_type", "greeks"), rb"-2\d{12}$")

    def test_R4_a_bus_is_removed_when_it_is_drained_and_its_slot_is_retired(self):
        third = self.redis("third")
        self.start(merge(self.third_bus(third.endpoint), {"draining": {"quiet": "300ms", "interval": "100ms"}}))
        client = self.connect()
        client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
        entry = client.call("XADD", "s", "*", "message_type", "greeks", "n", "1")
        without = {"buses": {"third": None}, "routing": {"types": {"third": None}}}
        self.refuse(without, "buses.third: is removed, but its id_slot 5 is not in 'retired_slots'", "buses.third: is removed, but it is active")
        retired = merge(without, {"retired_slots": [5]})
        self.reload({"buses": {"third": {"state": "draining"}}, "routing": {"types": {"third": None}}})
        self.refuse(retired, "it is not drained: stream 's' has entries that group 'g' has not read")
        client.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        self.refuse(retired, "it is not drained: stream 's' has 1 pending entries of group 'g'")
        client.call("XACK", "s", "g", entry)
        reader = self.connect()
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: self.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")
        self.renew(retired)
        with third.client() as direct:
            wait_for(lambda: not [each for each in direct.client_list() if each["name"].startswith("dualbusd")], "the old connections are closed")
        self.assertRegex(client.call("XADD", "s", "*", "message_type", "greeks", "n", "2"), rb"-2\d{12}$")
        self.assertEqual(reader.read()[0][1][0][1], [b"message_type", b"greeks", b"n", b"2"])
        # Its slot is nobody's.
        begun = len(self.daemon.log())
        self.reload({"buses": {"fourth": {"id_slot": 5, "endpoint": third.endpoint}}}, accepted=False)
        self.assertIn("buses.fourth.id_slot: 5 is a slot in 'retired_slots'", self.daemon.full_log()[begun:])

    def test_a_slot_does_not_change_and_a_name_may(self):
        self.start()
        self.refuse({"buses": {MARKETDATA: {"id_slot": 9}}}, "buses.marketdata.id_slot: cannot change from 1 to 9")
        client = self.connect()
        entry = client.call("XADD", "s", "*", "message_type", "market_data")
        renamed = merge(self.config, {"buses": {MARKETDATA: None, "prices": self.config["buses"][MARKETDATA]},
                                      "routing": {"types": {MARKETDATA: None, "prices": ["market_data"]}, "keys": []}})
        self.config = {}
        self.renew(renamed)
        self.assertIn("buses: 'marketdata' is called 'prices'", self.daemon.log())
        self.assertEqual(client.call("XRANGE", "s", "-", "+"), [[entry, [b"message_type", b"market_data"]]])

    def test_R2_R4_a_crowd_does_not_notice_that_buses_come_and_go(self):
        third = self.redis("third")
        self.start({"draining": {"quiet": "200ms", "interval": "100ms"}})
        crowd = Crowd(self.daemon.address, publishers=4, pollers=4, waiters=4, poppers=2, subscribers=2, transactions=3).start()
        try:
            for _ in range(3):
                # Nothing is routed to it, so that it is drained whenever it is to go.
                self.renew({"buses": {"third": {"id_slot": 5, "endpoint": third.endpoint, "state": "draining"}}, "workers": 2, "retired_slots": None})
                self.renew({"buses": {"third": None}, "workers": 1, "retired_slots": [5]})
        finally:
            crowd.stop()
        crowd.check(self, went_unmarked(self.daemon))


class ListenerTest(NewWorkersTest):
    def test_R6_a_new_port_is_open_before_the_old_one_closes(self):
        self.start()
        client, before = self.connect(), self.daemon.address
        client.call("CLIENT", "SETNAME", "engine")
        self.renew({"listen": {"port": free_port()}})
        self.assertEqual(client.call("CLIENT", "GETNAME"), b"engine")
        self.assertEqual(self.connect().call("PING"), "PONG")
        wait_for(lambda: self.refused(before), "the old port is closed")

    def test_R6_sockets_and_the_admin_port_change(self):
        first, second = os.path.join(self.directory, "a.sock"), os.path.join(self.directory, "b.sock")
        self.start({"listen": {"unix_socket": first}})
        self.renew({"listen": {"unix_socket": second}, "admin": {"port": free_port()}})
        self.assertFalse(os.path.exists(first))
        with resp.Connection(second) as client:
            self.assertEqual(client.call("PING"), "PONG")
        self.renew({"listen": {"unix_socket": second, "unix_socket_mode": "0777"}, "workers": 3})
        self.assertEqual(os.stat(second).st_mode & 0o777, 0o777)
        with resp.Connection(second) as client:
            self.assertEqual(client.call("PING"), "PONG")

    def test_R6_a_port_that_is_taken_refuses_the_reload(self):
        self.start({"workers": 2})
        client = self.connect()
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.refuse({"listen": {"port": other.getsockname()[1]}, "workers": 1}, "Address already in use")
        self.assertEqual(client.call("PING"), "PONG")
        self.assertEqual(self.connect().call("PING"), "PONG")
        self.renew({"workers": 1})
        self.assertEqual(client.call("PING"), "PONG")

    @staticmethod
    def refused(address):
        try:
            socket.create_connection(address, 5).close()
            return False
        except ConnectionRefusedError:
            return True


class MoreTest(NewWorkersTest):
    def test_the_number_of_workers_and_databases_changes(self):
        self.start()
        clients = [self.connect() for _ in range(20)]
        self.renew({"workers": 3, "databases": 4})
        self.assertIn("with 3 worker(s)", self.daemon.log())
        for number, client in enumerate(clients):
            self.assertEqual(client.call("SELECT", number % 4), "OK")
            self.assertEqual(client.call("SET", "k", number), "OK")
        self.renew({"workers": 1})
        for number, client in enumerate(clients[-4:], 16):
            self.assertEqual(client.call("GET", "k"), str(number).encode())

    def test_reloads_in_quick_succession_all_count(self):
        self.start()
        client = self.connect()
        for workers in (2, 1, 3, 2):
            self.daemon.write_config(merge(self.config, {"workers": workers, "limits": {"max_clients": 1000 + workers}}))
            self.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: client.call("CONFIG", "GET", "maxclients") == [b"maxclients", b"1002"], "the last one holds")
        self.config = merge(self.config, {"workers": 2})
        wait_for(lambda: self.daemon.log().count("new workers are started") == self.daemon.log().count("new workers serve"), "no reload is under way")

    def test_the_daemon_ends_while_workers_are_exchanged(self):
        for _ in range(5):
            self.daemon = Daemon(self.directory, self.config).start()
            self.addCleanup(self.daemon.kill)
            crowd = [self.connect() for _ in range(50)]
            self.daemon.write_config(merge(self.config, {"workers": 2}))
            self.daemon.process.send_signal(signal.SIGHUP)
            self.daemon.wait_for_log("new workers are started")
            self.assertEqual(self.daemon.terminate(), 0, self.daemon.log()[-3000:])
            self.assertEqual(self.daemon.sanitizer_report(), "")
            for client in crowd:
                self.assertEqual(client.read_rest(), b"")


if __name__ == "__main__":
    unittest.main()
