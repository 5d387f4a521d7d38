#!/usr/bin/python3
"""A new process takes the place of a running one, and no client notices: what goes along (H1 to H4), and who may come."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from support import resp
from support.hand_over import Chain, summary_of
from support.harness import Stack, free_port
from support.servers import daemon_program, wait_for


class HandOverTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-hand-over-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.control = os.path.join(self.directory, "control.sock")

    def make_stack(self, env=None, check=True, control=None, **changes):
        control = {"socket": self.control, "handover_timeout": "5s", **(control or {})}
        stack = Stack({"control": control, **changes}, env=env)
        self.addCleanup(stack.end)
        if check:
            self.addCleanup(stack.check, self)
        return stack, Chain(stack)

    def connect(self, daemon, protocol=2):
        connection = resp.Connection(daemon.address, protocol=protocol)
        self.addCleanup(connection.close)
        return connection

    def client_list(self, daemon):
        with daemon.connect() as client:
            return client.call("CLIENT", "LIST").decode()

    # --- H1

    def test_h1_a_client_is_the_same_in_the_new_process(self):
        stack, chain = self.make_stack(databases=3)
        daemon = stack.daemon
        clients = [self.connect(daemon, 2 + i % 2) for i in range(6)]
        for number, client in enumerate(clients):
            self.assertEqual(client.call("CLIENT", "SETNAME", f"engine-{number}"), "OK")
            client.call("CLIENT", "SETINFO", "LIB-NAME", "lib")
            client.call("CLIENT", "SETINFO", "LIB-VER", f"1.{number}")
        clients[1].call("SELECT", 2)
        clients[1].call("SET", "el:x", "in 2")
        clients[2].call("CLIENT", "NO-EVICT", "ON")
        clients[3].send("CLIENT", "REPLY", "OFF")
        wait_for(lambda: re.search(r" name=engine-3 .* cmd=client(\|reply)? ", self.client_list(daemon)), "its answers are off")

        def described(client):
            line = client.call("CLIENT", "INFO").decode()
            return re.sub(r"(age|idle|fd|tot-mem|qbuf|laddr)=\S+ ?", "", line)

        ids = [client.call("CLIENT", "ID") for client in clients if client is not clients[3]]
        before = [described(client) for client in clients if client is not clients[3]]
        def age_of(client):
            return int(re.search(r"age=(\d+)", client.call("CLIENT", "INFO").decode()).group(1))

        wait_for(lambda: age_of(clients[0]) >= 1, "it has an age")
        for _ in range(2):
            old, _ = chain.hand_over()
            self.assertEqual(summary_of(old)["left"], 0)
            others = [client for client in clients if client is not clients[3]]
            self.assertEqual([client.call("CLIENT", "ID") for client in others], ids)
            self.assertEqual([described(client) for client in others], before)
        self.assertEqual(clients[1].call("GET", "el:x"), b"in 2")
        self.assertGreaterEqual(age_of(clients[0]), 1)
        clients[3].send("PING")
        self.assertEqual(clients[3].call("CLIENT", "REPLY", "ON"), "OK")
        new = self.connect(chain.current)
        self.assertGreater(new.call("CLIENT", "ID"), max(ids))
        self.assertEqual(chain.current.metrics().value("dualbus_handovers_total", result="taken"), 1)

    def test_h1_bytes_of_a_request_that_is_not_whole_go_along(self):
        stack, chain = self.make_stack()
        client = self.connect(stack.daemon)
        whole = resp.encode("SET", "el:key", "v" * 200_000) + resp.encode("GET", "el:key")
        client.send_raw(whole[:150_000])
        large = self.connect(stack.daemon)
        large.send_raw(b"*2\r\n$4\r\nECHO\r\n$5\r\nhe")
        wait_for(lambda: {"qbuf=150000", "qbuf=20"} <= set(self.client_list(stack.daemon).split()), "both have come as far as they were sent")
        chain.hand_over()
        client.send_raw(whole[150_000:])
        large.send_raw(b"llo\r\n")
        self.assertEqual(client.read(), "OK")
        self.assertEqual(client.read(), b"v" * 200_000)
        self.assertEqual(large.read(), b"hello")

    def test_h1_users_go_along(self):
        password = "a0f1cc2d9b4dd8dc7b8a30ac5d0b2a2c3d0a2b9a"
        import hashlib
        digest = hashlib.sha256(password.encode()).hexdigest()
        everything = {"commands": ["+@all"], "keys": ["*"], "channels": ["*"]}
        stack, chain = self.make_stack(auth={"users": {
            "default": {"nopass": True, **everything}, "trader": {"password_hashes": [digest], **everything}}})
        one = self.connect(stack.daemon)
        self.assertEqual(one.call("AUTH", "trader", password), "OK")
        chain.hand_over()
        self.assertEqual(one.call("ACL", "WHOAMI"), b"trader")

    def test_h1_a_unix_socket_and_another_number_of_workers(self):
        path = os.path.join(self.directory, "clients.sock")
        port = free_port()
        listen = {"address": "127.0.0.1", "port": port, "unix_socket": path}
        stack, chain = self.make_stack(listen=listen, workers=1)
        local = resp.Connection(path)
        self.addCleanup(local.close)
        for workers in (3, 2, 4, 1):
            chain.hand_over({"workers": workers})
            self.assertEqual(local.call("PING"), "PONG")
            self.assertTrue(os.path.exists(path))
            self.assertTrue(os.path.exists(self.control))
            # Each listener is served: a connection would hang at one that is not.
            for _ in range(30):
                with resp.Connection(("127.0.0.1", port), timeout=20) as fresh:
                    self.assertEqual(fresh.call("PING"), "PONG")
                with resp.Connection(path, timeout=20) as fresh:
                    self.assertEqual(fresh.call("PING"), "PONG")

    # --- H2

    def test_h2_waiting_reads_go_along(self):
        stack, chain = self.make_stack()
        helper = self.connect(stack.daemon)
        helper.call("XGROUP", "CREATE", "events", "g", "$", "MKSTREAM")
        for kind in ("market_data", "order_request"):
            helper.call("XADD", "events", "*", "message_type", kind, "n", "old")
        helper.call("XGROUP", "SETID", "events", "g", "$")
        group, tail, third, pop, pop_many = (self.connect(stack.daemon, 2 + i % 2) for i in range(5))
        group.send("XREADGROUP", "GROUP", "g", "c", "COUNT", 5, "BLOCK", 0, "STREAMS", "events", ">")
        tail.send("XREAD", "BLOCK", 0, "STREAMS", "events", "$")
        third.send("XREAD", "BLOCK", 60000, "STREAMS", "events", "el:other", "$", "0-0")
        pop.send("BLPOP", "el:list", 0)
        pop_many.send("BLMPOP", 0, 1, "el:list2", "LEFT", "COUNT", 3)
        wait_for(lambda: helper.call("CLIENT", "LIST").decode().count(" flags=b") == 5, "five wait")
        for round_number in range(3):
            old, _ = chain.hand_over()
            self.assertEqual(summary_of(old)["left"], 0)
            wait_for(lambda: helper.call("CLIENT", "LIST").decode().count(" flags=b") == 5, f"five wait after {round_number}")
        helper.call("XADD", "events", "*", "message_type", "market_data", "n", "new")
        for client in (group, tail, third):
            reply = client.read()
            [(key, entries)] = reply.items() if isinstance(reply, dict) else reply
            self.assertEqual((key, [fields[3] for _, fields in entries]), (b"events", [b"new"]))
        helper.call("RPUSH", "el:list", "a")
        self.assertEqual(pop.read(), [b"el:list", b"a"])
        helper.call("RPUSH", "el:list2", "b", "c")
        self.assertEqual(pop_many.read(), [b"el:list2", [b"b", b"c"]])

    def test_h2_a_wait_keeps_the_time_it_has_left(self):
        stack, chain = self.make_stack()
        reader, pop = self.connect(stack.daemon), self.connect(stack.daemon)
        begun = time.monotonic()
        reader.send("XREAD", "BLOCK", 2500, "STREAMS", "events", "$")
        pop.send("BLPOP", "el:list", 2.5)
        time.sleep(0.5)
        chain.hand_over()
        for client in (reader, pop):
            self.assertIsNone(client.read())
            self.assertGreater(time.monotonic() - begun, 2.4)

    # --- R2, R4: the successor's file has other buses

    def test_r2_r4_a_successor_may_have_one_bus_more_and_the_next_one_bus_less(self):
        stack, chain = self.make_stack(check=False)
        third = stack.add_redis("third")
        client, reader, transaction = (self.connect(stack.daemon) for _ in range(3))
        self.assertEqual(client.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: stack.daemon.metrics().value("dualbus_parked_readers") == 1, "a reader waits")
        transaction.call("MULTI")
        self.assertEqual(transaction.call("SET", "k", "v"), "QUEUED")
        before, fewer = stack.daemon.config["buses"], stack.daemon.config["routing"]
        more = {**fewer, "types": {**fewer["types"], "third": ["greeks"]}}
        chain.hand_over({"workers": 2, "buses": {**before, "third": {"id_slot": 5, "endpoint": third.endpoint}}, "routing": more})
        # A group that exists is made on the new bus, at the beginning.
        self.assertRegex(client.call("XADD", "s", "*", "message_type", "greeks", "n", "1"), rb"^\d+-5\d{12}$")
        [[_, [[entry, fields]]]] = reader.read()
        self.assertEqual(fields, [b"message_type", b"greeks", b"n", b"1"])
        self.assertEqual(transaction.call("EXEC"), ["OK"])
        self.assertEqual(client.call("XACK", "s", "g", entry), 1)
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        wait_for(lambda: stack.daemon.metrics().value("dualbus_parked_readers") == 1, "it waits again")
        chain.hand_over({"buses": before, "routing": fewer})
        self.assertRegex(client.call("XADD", "s", "*", "message_type", "greeks", "n", "2"), rb"^\d+-2\d{12}$")
        self.assertEqual(reader.read()[0][1][0][1], [b"message_type", b"greeks", b"n", b"2"])

    # --- H3

    def test_h3_subscribers_go_along(self):
        stack, chain = self.make_stack()
        helper = self.connect(stack.daemon)
        plain, pattern, shard, old_protocol = (self.connect(stack.daemon, protocol) for protocol in (3, 3, 3, 2))
        for client, words in ((plain, ("SUBSCRIBE", "news")), (pattern, ("PSUBSCRIBE", "n*")), (shard, ("SSUBSCRIBE", "news")),
                              (old_protocol, ("SUBSCRIBE", "news"))):
            client.send(*words)
            self.assertEqual(client.read()[2], 1)
        for message in (b"1", b"2"):
            old, _ = chain.hand_over()
            self.assertEqual(summary_of(old)["subscribers"], 4)
            self.assertEqual(helper.call("PUBLISH", "news", message), 3)
            self.assertEqual(helper.call("SPUBLISH", "news", message), 1)
            self.assertEqual(plain.read(), [b"message", b"news", message])
            self.assertEqual(pattern.read(), [b"pmessage", b"n*", b"news", message])
            self.assertEqual(shard.read(), [b"smessage", b"news", message])
            self.assertEqual(old_protocol.read(), [b"message", b"news", message])
            self.assertEqual(plain.call("PING"), "PONG")
        plain.send("UNSUBSCRIBE", "news")
        self.assertEqual(plain.read(), [b"unsubscribe", b"news", 0])
        self.assertEqual(helper.call("PUBSUB", "SHARDCHANNELS"), [b"news"])

    # --- H4

    def test_h4_a_queued_transaction_goes_along(self):
        stack, chain = self.make_stack()
        plain, spoiled, both = (self.connect(stack.daemon) for _ in range(3))
        for client in (plain, spoiled, both):
            self.assertEqual(client.call("MULTI"), "OK")
            self.assertEqual(client.call("SET", "el:a", "1"), "QUEUED")
        self.assertEqual(plain.call("INCR", "el:a"), "QUEUED")
        self.assertIsInstance(spoiled.call("NOSUCH"), resp.ReplyError)
        self.assertEqual(both.call("SET", "md:b", "2"), "QUEUED")
        old, _ = chain.hand_over()
        self.assertEqual(summary_of(old)["transactions"], 3)
        self.assertEqual(plain.call("GET", "el:a"), "QUEUED")
        self.assertEqual(plain.call("EXEC"), ["OK", 2, b"2"])
        self.assertIn("EXECABORT", spoiled.call("EXEC"))
        self.assertEqual(both.call("EXEC"), ["OK", "OK"])
        self.assertEqual(both.call("PING"), "PONG")

    def test_h4_a_transaction_that_watches_is_waited_for_and_then_answers_nil(self):
        stack, chain = self.make_stack(control={"handover_timeout": "1500ms"})
        quick, slow, only_watch, helper = (self.connect(stack.daemon) for _ in range(4))
        for client in (quick, slow, only_watch):
            self.assertEqual(client.call("WATCH", "el:w"), "OK")
        slow.call("MULTI")
        slow.call("SET", "el:w", "slow")
        before = stack.daemon
        after = chain.successor().take_over()
        wait_for(lambda: "takes over" in before.log(), "it has begun")
        self.assertEqual(quick.call("MULTI"), "OK")
        self.assertEqual(quick.call("SET", "el:q", "quick"), "QUEUED")
        self.assertEqual(quick.call("EXEC"), ["OK"])
        after.wait_for_log(r"took over \d+ clients")
        stack.daemon = after
        self.assertEqual(before.process.wait(20), 0, before.log())
        self.assertIsNone(slow.call("EXEC"))
        self.assertEqual(only_watch.call("MULTI"), "OK")
        self.assertEqual(only_watch.call("SET", "el:w", "x"), "QUEUED")
        self.assertIsNone(only_watch.call("EXEC"))
        self.assertIsNone(helper.call("GET", "el:w"))

    def test_h4_monitors_are_closed(self):
        stack, chain = self.make_stack()
        monitor = self.connect(stack.daemon)
        self.assertEqual(monitor.call("MONITOR"), "OK")
        chain.hand_over()
        monitor.read_rest()

    # --- H5, H7: who may come

    def test_h5_whoever_is_no_successor_is_refused_and_the_daemon_goes_on(self):
        stack, _ = self.make_stack()
        client = self.connect(stack.daemon)

        def ask(line):
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.settimeout(20)
                knocking.connect(self.control)
                knocking.sendall(line)
                answer = b""
                while chunk := knocking.recv(4096):
                    answer += chunk
            return answer

        for line in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 300, b"\n", b"dualbus take-over\n",
                     b"dualbus take-over protocol=x state=1 daemon=1\n", b"PING\r\n", os.urandom(2000)):
            self.assertIn(b"refused it does not say what it wants", ask(line))
            self.assertEqual(client.call("PING"), "PONG")
        for line in (b"dualbus take-over protocol=0 state=1 daemon=0.0.9\n", b"dualbus take-over protocol=1 state=0 daemon=0.0.9\n"):
            self.assertIn(b"refused dualbusd 0.0.9 is older than this one", ask(line))
        self.assertEqual(stack.daemon.metrics().value("dualbus_handovers_total", result="failed"), 0)
        # A successor of the right kind that leaves, says nothing, or speaks nonsense later.
        for words in (b"", b"\x63" * 50, b"\x07\x00" + b"\xff" * 8):
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.settimeout(20)
                knocking.connect(self.control)
                knocking.sendall(b"dualbus take-over protocol=9 state=9 daemon=9.9\n")
                self.assertTrue(knocking.recv(20).startswith(b"welcome"))
                knocking.sendall(words)
            fresh = self.connect(stack.daemon)
            self.assertEqual(fresh.call("PING"), "PONG")
            self.assertEqual(client.call("PING"), "PONG")
        wait_for(lambda: stack.daemon.metrics().value("dualbus_handovers_total", result="failed") == 3, "all have failed")

    def test_h7_a_newer_daemon_is_not_taken_over(self):
        stack, chain = self.make_stack()
        path = os.path.join(self.directory, "newer.sock")
        with socket.socket(socket.AF_UNIX) as newer:
            newer.bind(path)
            newer.listen()
            newer.settimeout(60)
            successor = chain.successor()
            successor.control = path
            successor.take_over()
            peer, _ = newer.accept()
            with peer:
                self.assertTrue(peer.recv(200).startswith(b"dualbus take-over protocol="))
                peer.sendall(b"welcome protocol=1 state=99 daemon=9.9\n")
                self.assertEqual(successor.process.wait(60), 1)
        self.assertIn("9.9, is newer than this one", successor.log())
        self.assertEqual(self.connect(stack.daemon).call("PING"), "PONG")

    @unittest.skipIf(os.geteuid() != 0, "needs root to become somebody else")
    def test_h5_another_user_is_refused(self):
        stack, _ = self.make_stack()
        os.chmod(self.directory, 0o755)
        os.chmod(self.control, 0o666)  # else the file itself keeps the other one out
        program = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
                   "print(s.recv(400).decode())")
        said = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-c", program, self.control],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertIn("refused the other process has another user", said.stdout, said.stderr)
        self.assertEqual(self.connect(stack.daemon).call("PING"), "PONG")

    def test_h5_a_successor_that_cannot_start_changes_nothing(self):
        stack, chain = self.make_stack()
        client = self.connect(stack.daemon)
        wrong = chain.successor({"limits": {"max_clients": "many"}}).take_over()
        self.assertEqual(wrong.process.wait(60), 1)
        self.assertIn("max_clients", wrong.log())
        nowhere = subprocess.run([daemon_program(), "--config", stack.daemon.config_path, "--take-over", "/nowhere.sock"],
                                 capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("nobody listens there", nowhere.stderr)
        self.assertEqual(client.call("PING"), "PONG")
        chain.hand_over()
        self.assertEqual(client.call("PING"), "PONG")

    # --- systemd

    def test_the_service_manager_hears_who_follows(self):
        address = os.path.join(self.directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(30)
            stack, _ = self.make_stack(env={"NOTIFY_SOCKET": address}, check=False)
            self.assertEqual(manager.recv(200), b"READY=1\n")
            client = self.connect(stack.daemon)
            before = stack.daemon
            before.signal(signal.SIGUSR2)
            told = {manager.recv(200), manager.recv(200)}
            self.assertEqual(before.process.wait(60), 0, before.log())
            pid = int(next(re.search(rb"MAINPID=(\d+)", line).group(1) for line in told if b"MAINPID" in line))
            self.assertIn(b"READY=1\n", told)
            self.addCleanup(os.kill, pid, signal.SIGKILL)
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                self.assertIn(b"--take-over", file.read())
            self.assertEqual(client.call("PING"), "PONG")

    def test_a_hand_over_without_a_control_socket_is_refused(self):
        stack, _ = self.make_stack(control={"socket": ""})
        stack.daemon.signal(signal.SIGUSR2)
        stack.daemon.wait_for_log("no hand-over without 'control.socket'")
        self.assertEqual(self.connect(stack.daemon).call("PING"), "PONG")


if __name__ == "__main__":
    unittest.main()
