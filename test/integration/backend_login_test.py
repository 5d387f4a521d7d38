"""The ways in which the daemon reaches its buses: passwords, users, databases, Unix sockets, names."""
import os
import re
import shutil
import tempfile
import threading
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, Daemon, Redis, make_config, merge, wait_for

QUICK = {"backend": {"reconnect_wait": "500ms", "backoff_min": "5ms", "backoff_max": "20ms"}}
SECRET = "s3cret pa$$ \\\"'wörd"


class LoginTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def redis(self, name, *options, **more):
        server = Redis(name, self.directory, *options, **more).start()
        self.addCleanup(server.kill)
        return server

    def write_secret(self, text, mode=0o600):
        path = os.path.join(self.directory, "password")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def daemon(self, buses, changes=None, env=None, page="/readyz?all"):
        """`buses`: name -> (server, further keys of the bus)."""
        config = make_config({name: server.endpoint for name, (server, _) in buses.items()},
                             merge({"buses": {name: keys for name, (_, keys) in buses.items()}}, changes or {}))
        daemon = Daemon(self.directory, config, env)
        daemon.start(page)
        self.addCleanup(daemon.kill)
        self.addCleanup(self.check_end, daemon)
        return daemon

    def check_end(self, daemon):
        self.assertNotIn(SECRET, daemon.full_log())
        self.assertNotIn("s3cret", daemon.full_log())
        wait_for(daemon.gauges_are_zero, "gauges at zero")
        self.assertEqual(daemon.terminate(), 0)
        self.assertEqual(daemon.sanitizer_report(), "")

    def check_works(self, daemon):
        for protocol in (2, 3):
            with daemon.connect(protocol=protocol) as client:
                self.assertEqual(client.pipeline([("SET", "md:k", 1), ("SET", "k", 2), ("MGET", "md:k", "k")]), ["OK", "OK", [b"1", b"2"]])
                self.assertIsInstance(client.call("XADD", "s", "*", "message_type", "market_data"), bytes)
        wait_for(lambda: daemon.metrics().value("redis_up") == 2, "both buses answer INFO")

    def test_a_redis_that_repeats_the_arguments_of_a_log_in_brings_no_password_into_the_log(self):
        path = self.write_secret(SECRET)
        buses = {name: (self.redis(name, "--rename-command", command, ""), {"password_file": path})
                 for name, command in ((MARKETDATA, "HELLO"), (ENGINE_LOGIC, "AUTH"))}
        daemon = self.daemon(buses, {"log": {"level": "trace"}}, page="/healthz")
        daemon.wait_for_log("bus 'marketdata'.*unknown command")
        daemon.wait_for_log("bus engine_logic.*AUTH.*unknown command")
        for page in ("/", "/metrics", "/readyz?all"):
            self.assertNotIn("s3cret", daemon.fetch(page)[1])

    def test_passwords_from_a_file_and_from_the_environment(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET)
        engine_logic = self.redis(ENGINE_LOGIC, "--requirepass", "other", password="other")
        path = self.write_secret(SECRET + "\n")
        daemon = self.daemon({MARKETDATA: (marketdata, {"password_file": path}), ENGINE_LOGIC: (engine_logic, {"password_env": "ENGINE_LOGIC_SECRET"})},
                             env={"ENGINE_LOGIC_SECRET": "other"})
        self.check_works(daemon)
        self.assertNotIn("warning", daemon.full_log())

    def test_a_user_of_the_acl(self):
        marketdata = self.redis(MARKETDATA)
        marketdata.client().acl_setuser("engine", enabled=True, passwords=["+" + SECRET], keys=["*"], channels=["*"], commands=["+@all"])
        marketdata.client().execute_command("ACL", "SETUSER", "default", "off")
        daemon = self.daemon({MARKETDATA: (marketdata, {"username": "engine", "password_file": self.write_secret(SECRET)}),
                              ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})})
        self.check_works(daemon)

    def test_a_wrong_password_is_said_once_and_heals_when_it_becomes_right(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", "right", password="right")
        daemon = self.daemon({MARKETDATA: (marketdata, {"password_file": self.write_secret(SECRET)}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})},
                             QUICK, page="/healthz")
        wait_for(lambda: daemon.metrics().value("dualbus_backend_connect_failures_total", bus=MARKETDATA) >= 10, "some attempts")
        self.assertEqual(daemon.fetch("/readyz?all")[0], 503)
        with daemon.connect() as client:
            self.assertEqual(client.call("GET", "md:k"), "BUSDOWN bus 'marketdata' is unreachable: command not sent")
            self.assertEqual(client.call("SET", "k", 1), "OK")
        lines = [line for line in daemon.full_log().splitlines() if "WRONGPASS" in line]
        # Each worker's connection and the INFO poller may say it, each of them once.
        self.assertIn(len(lines), range(1, daemon.config["workers"] + 2), daemon.log()[-2000:])
        self.assertTrue(any(f"bus '{MARKETDATA}'" in line for line in lines))
        for page in ("/metrics", "/"):
            self.assertNotIn("s3cret", daemon.fetch(page)[1])
        marketdata.client().config_set("requirepass", SECRET)
        wait_for(lambda: daemon.fetch("/readyz?all")[0] == 200, "it connects by itself")
        self.check_works(daemon)

    def test_a_password_that_redis_does_not_want_and_one_that_is_missing(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", "right", password="right")
        engine_logic = self.redis(ENGINE_LOGIC)
        daemon = self.daemon({MARKETDATA: (marketdata, {}), ENGINE_LOGIC: (engine_logic, {"password_file": self.write_secret(SECRET)})}, QUICK, page="/healthz")
        daemon.wait_for_log(r"bus 'marketdata'.*NOAUTH")
        # Redis's default user without a password takes any.
        wait_for(lambda: daemon.metrics().value("redis_up", bus=ENGINE_LOGIC) == 1, "engine_logic is up")
        with daemon.connect() as client:
            self.assertEqual(client.call("SET", "k", 1), "OK")

    def rotate(self, daemon, server, new, file_first):
        def write_and_reload():
            self.write_secret(new + "\n")
            daemon.reload(daemon.config)

        steps = [write_and_reload, lambda: server.client().config_set("requirepass", new)]
        for step in steps if file_first else reversed(steps):
            step()
        server.password = new

    def connections(self, server):
        """IDs of the daemon's connections there."""
        with server.client() as client:
            return {int(each["id"]): each for each in client.client_list() if each["name"].startswith("dualbusd")}

    def check_rotation(self, file_first):
        marketdata = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET)
        daemon = self.daemon({MARKETDATA: (marketdata, {"password_file": self.write_secret(SECRET)}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})})
        clients = [daemon.connect(protocol=2 + number % 2) for number in range(4)]
        reader, worker, subscriber, idle = (daemon.connect() for _ in range(4))
        for client in (*clients, reader, worker, subscriber, idle):
            self.addCleanup(client.close)
        subscriber.call("SUBSCRIBE", "news")
        self.assertEqual(idle.pipeline([("WATCH", "md:x"), ("MULTI",), ("GET", "md:x"), ("EXEC",)])[-1], [None])  # leaves a connection
        self.assertEqual(reader.call("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"), "OK")
        reader.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        worker.send("BLPOP", "md:jobs", 0)
        wait_for(lambda: any(each["cmd"] == "blpop" for each in self.connections(marketdata).values()), "a worker waits")
        wait_for(lambda: any("t" in each["flags"] for each in self.connections(marketdata).values()), "a watcher")
        before = self.connections(marketdata)
        stays = {number for number, each in before.items() if each["cmd"] == "blpop" or int(each["sub"]) > 0}

        stop, errors = threading.Event(), []

        def work(client, number):
            while not stop.is_set():
                replies = client.pipeline([("RPUSH", f"md:{number}", "x"), ("LLEN", f"md:{number}"), ("XADD", "t", "*", "message_type", "market_data")] * 20)
                errors.extend(reply for reply in replies if isinstance(reply, str))
                errors.extend(pair for pair in zip(replies[::3], replies[1::3]) if pair[0] != pair[1])

        threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in zip(clients, range(4))]
        for thread in threads:
            thread.start()
        try:
            self.rotate(daemon, marketdata, "n3w", file_first)
            wait_for(lambda: set(before) & set(self.connections(marketdata)) == stays, "the connections are new ones")
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        self.assertEqual(errors, [])
        self.assertEqual(daemon.metrics().value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 0)
        with daemon.connect() as client:
            client.call("PUBLISH", "news", "message")
            client.call("RPUSH", "md:jobs", "job")
            client.call("XADD", "s", "*", "message_type", "market_data", "a", "b")
        self.assertEqual(worker.read(), [b"md:jobs", b"job"])
        self.assertEqual(subscriber.read(), [b"message", b"news", b"message"])
        self.assertEqual(reader.read()[0][1][0][1], [b"message_type", b"market_data", b"a", b"b"])
        wait_for(lambda: daemon.metrics().value("redis_up") == 2, "both buses answer INFO")
        # A connection that is lost now comes back with the new password.
        marketdata.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
        wait_for(lambda: daemon.fetch("/readyz?all")[0] == 200, "connected again")
        self.check_works(daemon)
        self.assertNotIn("n3w", daemon.full_log())

    def test_a_password_is_rotated_under_load_and_nobody_notices(self):
        self.check_rotation(file_first=False)

    def test_a_password_is_rotated_in_the_file_before_redis_knows_it(self):
        self.check_rotation(file_first=True)

    def test_a_new_password_helps_at_once_where_the_old_one_was_refused(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET)
        daemon = self.daemon({MARKETDATA: (marketdata, {"password_file": self.write_secret(SECRET)}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})},
                             {"backend": {"backoff_min": "1m", "backoff_max": "1m", "reconnect_wait": "1m"}})
        marketdata.client().config_set("requirepass", "n3w")
        marketdata.password = "n3w"
        marketdata.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        daemon.wait_for_log(r"bus 'marketdata'.*WRONGPASS")
        with daemon.connect() as client:
            client.send("SET", "md:k", 1)
            wait_for(lambda: daemon.metrics().value("dualbus_requests_waiting", bus=MARKETDATA) == 1, "it waits")
            self.write_secret("n3w")
            daemon.reload(daemon.config)
            self.assertEqual(client.read(), "OK")

    def test_a_wrong_new_password_leaves_what_works_alone(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET)
        daemon = self.daemon({MARKETDATA: (marketdata, {"password_file": self.write_secret(SECRET)}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})}, QUICK)
        self.check_works(daemon)
        self.write_secret("mistaken")
        daemon.reload(daemon.config)
        daemon.wait_for_log(r"bus 'marketdata'.*WRONGPASS")
        self.check_works(daemon)
        self.write_secret(SECRET)
        before = self.connections(marketdata)
        daemon.reload(daemon.config)
        wait_for(lambda: not set(before) & set(self.connections(marketdata)), "the connections are new ones")
        self.check_works(daemon)
        self.assertEqual(daemon.metrics().value("dualbus_backend_connections_lost_total", bus=MARKETDATA), 0)

    def test_a_password_file_for_everybody_is_accepted_with_a_warning(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET)
        path = self.write_secret(SECRET, mode=0o644)
        daemon = self.daemon({MARKETDATA: (marketdata, {"password_file": os.path.basename(path)}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})})
        daemon.wait_for_log("warning .*'password' can be read by everybody")
        self.check_works(daemon)

    def test_a_database_is_selected_on_every_connection(self):
        marketdata = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET)
        daemon = self.daemon({MARKETDATA: (marketdata, {"database": 5, "password_file": self.write_secret(SECRET)}),
                              ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})})
        self.check_works(daemon)
        self.assertEqual(sorted(marketdata.client(db=5).keys()), [b"md:k", b"s"])
        self.assertEqual(marketdata.client().keys(), [])
        marketdata.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
        wait_for(lambda: daemon.fetch("/readyz?all")[0] == 200, "connected again")
        self.check_works(daemon)
        self.assertEqual(marketdata.client().keys(), [])

    def test_a_database_that_does_not_exist_is_no_bus(self):
        marketdata = self.redis(MARKETDATA)
        daemon = self.daemon({MARKETDATA: (marketdata, {"database": 99}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})}, QUICK, page="/healthz")
        daemon.wait_for_log("bus 'marketdata'.*DB index is out of range")
        with daemon.connect() as client:
            self.assertRegex(client.call("SET", "md:k", 1), "^BUSDOWN ")
        self.assertEqual(marketdata.client().keys(), [])

    def test_unix_sockets_and_names_are_endpoints(self):
        marketdata, engine_logic = self.redis(MARKETDATA, "--requirepass", SECRET, password=SECRET), self.redis(ENGINE_LOGIC)
        daemon = self.daemon({MARKETDATA: (marketdata, {"endpoint": marketdata.unix_socket, "password_file": self.write_secret(SECRET)}),
                              ENGINE_LOGIC: (engine_logic, {"endpoint": f"localhost:{engine_logic.port}"})})
        self.check_works(daemon)
        marketdata.kill()
        wait_for(lambda: daemon.fetch("/readyz?all")[0] == 503, "the loss is noticed")
        marketdata.start()
        wait_for(lambda: daemon.fetch("/readyz?all")[0] == 200, "connected again")
        self.check_works(daemon)
        daemon.wait_for_log(re.escape(f"bus 'marketdata': connected to {marketdata.unix_socket}"))

    def test_a_name_that_nobody_knows_is_a_bus_that_is_down(self):
        daemon = self.daemon({MARKETDATA: (self.redis(MARKETDATA), {"endpoint": "nosuchhost.invalid:6380"}), ENGINE_LOGIC: (self.redis(ENGINE_LOGIC), {})},
                             QUICK, page="/healthz")
        daemon.wait_for_log("cannot resolve 'nosuchhost.invalid'")
        with daemon.connect() as client:
            self.assertRegex(client.call("SET", "md:k", 1), "^BUSDOWN ")
            self.assertEqual(client.call("SET", "k", 1), "OK")


if __name__ == "__main__":
    unittest.main()
