"""Users: logging in, what each may do, and changing them while the daemon runs. A Redis with the same ACL is the oracle."""
import hashlib
import json
import os
import subprocess
import tempfile
import unittest

import redis

from support import resp
from support.harness import StackTest, make_config, merge, wait_for
from support.servers import daemon_program

PASSWORD = "s3cret wörd"
HASH = hashlib.sha256(PASSWORD.encode()).hexdigest()
OTHER = "another"
USERS = {
    "engine": {"password_hashes": ["#" + HASH, hashlib.sha256(OTHER.encode()).hexdigest()],
               "commands": ["+@all", "-@dangerous", "+config|get", "+sort"],
               "keys": ["a:*"], "channels": ["c:*"]},
    "admin": {"password_env": "TEST_ADMIN_PASSWORD", "commands": ["+@all"], "keys": ["*"], "channels": ["*"]},
    "reader": {"nopass": True, "commands": ["+@read", "+@connection"], "keys": ["*"]},
    "publisher": {"nopass": True, "commands": ["+xadd", "+xlen", "+publish", "+restore", "+copy", "+rename", "+renamenx", "+move"],
                  "keys": ["*"], "channels": ["*"], "message_types": ["risk_*", "market_data"]},
    "off": {"enabled": False, "nopass": True, "commands": ["+@all"], "keys": ["*"]},
}
ACL = {
    "default": ["off", "resetpass", "-@all"],
    "engine": ["on", ">" + PASSWORD, ">" + OTHER, "~a:*", "&c:*", "+@all", "-@dangerous", "+config|get", "+sort"],
    "admin": ["on", ">adm", "~*", "&*", "+@all"],
    "reader": ["on", "nopass", "~*", "+@read", "+@connection"],
    "off": ["off", "nopass", "~*", "+@all"],
}
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NOAUTH = "NOAUTH Authentication required."


class UsersTest(StackTest):
    config = {"auth": {"users": USERS}, "limits": {"login_delay": "0"}}  # many of these log-ins are wrong ones

    @classmethod
    def setUpClass(cls):
        os.environ["TEST_ADMIN_PASSWORD"] = "adm"
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")
        with cls.bare.connect() as client:
            for name, rules in reversed(ACL.items()):
                assert client.call("ACL", "SETUSER", name, *rules) == "OK"
            client.call("AUTH", "admin", "adm")
        cls.bare.client = lambda **options: redis.Redis(port=cls.bare.port, username="admin", password="adm", **options)

    def both(self):
        return [resp.Connection(server.address) for server in (self.daemon, self.bare)]

    def compare(self, *requests):
        """The same replies, to the byte, from the daemon and from a Redis with the same users."""
        mine, theirs = self.both()
        with mine, theirs:
            for request in requests:
                self.assertEqual(mine.call_raw(*request), theirs.call_raw(*request), request)

    def log_in(self, user, password=PASSWORD, to=None):
        client = self.connect(to=to)
        self.assertEqual(client.call("AUTH", user, password), "OK")
        return client

    # --- logging in

    def test_nothing_runs_before_the_log_in(self):
        self.compare(("GET", "a:1"), ("PING",), ("ACL", "WHOAMI"), ("HELLO",), ("HELLO", 3), ("HELLO", 4), ("GET",), ("nosuch",),
                     ("CLIENT", "ID"), ("RESET",), ("QUIT",))

    def test_log_in_answers_as_redis_does(self):
        self.compare(("AUTH", "engine", "wrong"), ("AUTH", "nobody", PASSWORD), ("AUTH", "off", "x"), ("AUTH", PASSWORD), ("AUTH",),
                     ("AUTH", "a", "b", "c"), ("GET", "a:1"), ("AUTH", "engine", PASSWORD), ("GET", "a:1"), ("AUTH", "engine", "wrong"),
                     ("GET", "a:1"), ("AUTH", "engine", OTHER), ("GET", "a:1"), ("AUTH", "reader", "anything"), ("GET", "b"), ("RESET",),
                     ("GET", "b"))

    def test_hello_logs_in_and_names_the_client(self):
        for user, password, ok in (("engine", PASSWORD, True), ("engine", "x", False), ("off", "x", False)):
            client = self.connect()
            reply = client.call("HELLO", 3, "AUTH", user, password, "SETNAME", "me")
            if ok:
                self.assertEqual(reply[b"proto"], 3)
                self.assertEqual(client.call("CLIENT", "GETNAME"), b"me")
            else:
                self.assertEqual(reply, WRONGPASS)
                self.assertEqual(client.call("PING"), NOAUTH)

    def test_redis_py_logs_in(self):
        client = self.client(username="engine", password=PASSWORD)
        self.assertTrue(client.set("a:1", "x"))
        self.assertEqual(client.get("a:1"), b"x")
        with self.assertRaisesRegex(redis.exceptions.RedisError, "WRONGPASS"):
            self.client(username="engine", password="x").ping()

    def test_failed_attempts_are_counted_and_logged_without_the_password(self):
        client = self.connect()
        with self.counted("dualbus_authentication_failures_total") as failures:
            client.call("AUTH", "engine", "mistyped-pass")
            client.call("HELLO", 2, "AUTH", "mistyped-pass", "x")
            client.call("AUTH", "mistyped-pass")
        self.assertEqual(failures.value, 3)
        self.daemon.wait_for_log(r"log-in as '?\w+.* failed")
        for secret in ("mistyped-pass", PASSWORD, HASH):
            self.assertNotIn(secret, self.daemon.full_log())

    # --- permissions

    def test_permissions_are_checked_as_in_redis(self):
        self.compare(("AUTH", "engine", PASSWORD), ("GET", "b"), ("GET", "a:1"), ("MGET", "a:1", "b"), ("KEYS", "*"), ("CONFIG", "SET", "x", "y"),
                     ("CONFIG",), ("CONFIG", "nosuch"), ("FLUSHALL",), ("CLIENT", "KILL", "ID", "1"), ("CLIENT", "LIST"), ("CLIENT", "SETNAME", "x"),
                     ("SET", "b", "1"), ("DEL", "a:1", "b"), ("EXISTS", "b"), ("OBJECT", "ENCODING", "b"), ("XADD", "b", "*", "f", "v"), ("XLEN", "b"),
                     ("XREAD", "STREAMS", "b", "0"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "b", ">"), ("XINFO", "STREAM", "b"),
                     ("XGROUP", "CREATE", "b", "g", "0"), ("LMPOP", "1", "b", "LEFT"), ("ZUNIONSTORE", "a:z", "1", "b"), ("SORT", "b"),
                     ("SORT", "a:l", "BY", "w_*"), ("SORT", "a:l", "GET", "a:*"), ("SORT", "a:l", "GET", "#"), ("SORT", "a:l", "BY", "nosort"),
                     ("SORT", "a:l", "STORE", "b"), ("BLPOP", "b", "0.01"), ("PUBLISH", "d", "m"), ("SPUBLISH", "d", "m"), ("SUBSCRIBE", "d"),
                     ("PSUBSCRIBE", "c:1*"), ("SSUBSCRIBE", "d"), ("INFO",), ("SHUTDOWN",), ("TIME", "x"))

    def test_what_a_user_may_not_do_spoils_its_transaction(self):
        self.compare(("AUTH", "engine", PASSWORD), ("MULTI",), ("SET", "a:1", "x"), ("SET", "b:1", "x"), ("EXEC",), ("GET", "a:1"),
                     ("MULTI",), ("SET", "a:1", "x"), ("EXEC",), ("MULTI",), ("FLUSHALL",), ("DISCARD",))

    def test_an_exec_that_is_refused_ends_the_transaction(self):
        self.compare(("EXEC",), ("AUTH", "reader", "x"), ("EXEC",), ("GET", "k"))
        self.compare(("AUTH", "engine", PASSWORD), ("MULTI",), ("SET", "a:1", "x"), ("EXEC", "x"), ("EXEC",), ("GET", "a:1"))
        self.compare(("AUTH", "engine", PASSWORD), ("MULTI",), ("MULTI",), ("WATCH", "a:1"), ("SET", "a:1", "x"), ("EXEC",), ("MULTI",),
                     ("DISCARD", "x"), ("EXEC",), ("MULTI",), ("NOSUCH",), ("EXEC",))

    def test_a_transaction_tries_only_a_few_passwords(self):
        client = self.log_in("engine")
        with self.counted("dualbus_authentication_failures_total") as failures:
            for _ in range(2):  # EXEC forgets how many there were
                replies = client.pipeline([("MULTI",), *[("AUTH", "admin", f"guess-{number}") for number in range(5)], ("EXEC",)])
                self.assertEqual([str(reply) for reply in replies[-1]], ["WRONGPASS invalid username-password pair or user is disabled."] * 5)
            self.assertEqual(failures.value, 10)
            replies = client.pipeline([("MULTI",), *[("AUTH", "admin", f"guess-{number}") for number in range(1000)], ("EXEC",)])
            self.assertEqual(set(map(str, replies[6:-1])), {"ERR dualbus: a transaction holds 5 AUTH at most: log in before MULTI"})
            self.assertEqual(str(replies[-1]), "EXECABORT Transaction discarded because of previous errors.")
            self.assertEqual(failures.value, 10)

    def test_what_stands_behind_a_log_in_within_a_transaction_needs_the_rights_of_both(self):
        reason = " for the following reason: "
        for requests in ([("SET", "a:1", "old"), ("AUTH", "reader", "x"), ("SET", "a:1", "new"), ("GET", "a:1"), ("ECHO", "x")],
                         [("AUTH", "reader", "x"), ("AUTH", "engine", PASSWORD), ("SET", "a:1", "both")],
                         [("AUTH", "engine", "wrong"), ("SET", "a:1", "same")], [("AUTH", PASSWORD), ("SET", "a:1", "same")],
                         [("AUTH", "a", "b", "c"), ("SET", "a:1", "same")], [("AUTH", "off", "x"), ("SET", "a:1", "same")]):
            mine, theirs = self.both()
            with mine, theirs:
                mine, theirs = (server.pipeline([("AUTH", "engine", PASSWORD), ("MULTI",), *requests, ("EXEC",), ("SET", "a:1", "after"), ("GET", "a:1")])
                                for server in (mine, theirs))
            self.assertEqual([str(reply).split(reason)[0] for reply in mine[-3]], [str(reply).split(reason)[0] for reply in theirs[-3]], requests)
            self.assertEqual(mine[-2:], theirs[-2:], requests)

    def test_channels_bind_publishers_and_subscribers(self):
        self.compare(("AUTH", "engine", PASSWORD), ("PUBLISH", "c:1", "m"), ("PUBLISH", "d", "m"), ("SUBSCRIBE", "d"), ("PSUBSCRIBE", "*"),
                     ("PSUBSCRIBE", "c:*"), ("SUBSCRIBE", "c:1"), ("GET", "a:1"))

    def test_a_reader_may_read_only(self):
        self.compare(("AUTH", "reader", "x"), ("GET", "k"), ("SET", "k", "1"), ("XLEN", "k"), ("XADD", "k", "*", "f", "v"), ("MGET", "a", "b"),
                     ("PUBLISH", "c", "m"), ("CLIENT", "GETNAME"), ("PING",))

    def test_message_types_bind_publishers(self):
        client = self.log_in("publisher")
        denied = "NOPERM this user has no permissions to publish this type of message"
        with self.counted("dualbus_permission_denials_total") as denials:
            self.assertIsInstance(client.call("XADD", "s", "*", "message_type", "risk_metric"), bytes)
            self.assertNotIsInstance(client.call("XADD", "s", "*", "message_type", "market_data"), resp.ReplyError)
            self.assertEqual(client.call("XADD", "s", "*", "message_type", "order_request"), denied)
            self.assertEqual(client.call("XADD", "s", "*", "payload", '{"message_type": "order_request"}'), denied)
            self.assertEqual(client.call("XADD", "md:s", "*", "f", "v"), denied)
            self.assertIsInstance(client.call("XADD", "md:s", "*", "payload", '{"message_type": "risk_alerts"}'), bytes)
            # A stream with any messages may come that way.
            admin = self.log_in("admin", "adm")
            self.assertEqual(client.call("RESTORE", "md:t", 0, admin.call("DUMP", "md:s")), denied + ": 'restore' brings messages of any type")
        self.assertEqual(denials.value, 4)
        self.assertEqual(admin.call("XLEN", "s"), 2)
        self.assertEqual(admin.call("XLEN", "md:s"), 1)

    def test_categories_of_commands_are_those_of_redis(self):
        mine, theirs = (connection.__enter__() for connection in self.both())
        with mine, theirs:
            for connection in (mine, theirs):
                connection.call("AUTH", "admin", "adm")
            known = {row[0]: (row[6], row[9]) for row in theirs.call("COMMAND")}
            for row in mine.call("COMMAND"):
                if row[0] in known:
                    self.assertEqual(row[6], known[row[0]][0], row[0])

    def test_client_list_and_kill_know_users(self):
        admin, engine = self.log_in("admin", "adm"), self.log_in("engine")
        self.assertIn(b"user=engine", admin.call("CLIENT", "LIST"))
        self.assertIn(b"user=admin", admin.call("CLIENT", "INFO"))
        self.assertEqual(admin.call("CLIENT", "KILL", "USER", "nobody"), "ERR No such user 'nobody'")
        self.assertEqual(admin.call("CLIENT", "KILL", "USER", "engine"), 1)
        wait_for(engine.is_closed, "the engine's connection is closed")

    def test_pipelined_requests_behind_a_log_in_are_that_users(self):
        client = self.connect()
        self.assertEqual(client.pipeline([("AUTH", "engine", PASSWORD), ("SET", "a:p", 1), ("GET", "b"), ("GET", "a:p")])[0::3], ["OK", b"1"])

    # --- reload

    def test_a_reload_changes_users_of_open_connections(self):
        engine, reader, fresh = self.log_in("engine"), self.log_in("reader"), self.connect()
        self.addCleanup(self.daemon.reload, self.stack.config)
        changed = merge(self.stack.config, {"auth": {"users": {"engine": {"keys": ["b"]}, "reader": {"enabled": False}}}})
        self.daemon.reload(changed)
        wait_for(reader.is_closed, "the disabled user's connection is closed")
        self.assertIsNone(engine.call("GET", "b"))
        self.assertIn("NOPERM", engine.call("GET", "a:1"))
        self.daemon.reload(merge(self.stack.config, {"auth": {"users": {"engine": None, "default": {
            "nopass": True, "commands": ["+get"], "keys": ["*"]}}}}))
        wait_for(engine.is_closed, "the removed user's connection is closed")
        self.assertIsNone(fresh.call("GET", "x"))
        self.assertIn("NOPERM", fresh.call("SET", "x", 1))
        self.daemon.reload(merge(self.stack.config, {"auth": None}))
        self.assertEqual(fresh.call("SET", "x", 1), "OK")
        self.daemon.reload(self.stack.config)
        self.assertEqual(fresh.call("GET", "x"), NOAUTH)

    def test_a_reload_warns_of_doors_that_are_open_to_all(self):
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.daemon.reload(merge(self.stack.config, {"auth": {"users": {"engine": {"password_hashes": [hashlib.sha256(b"").hexdigest()]}}}}))
        self.daemon.wait_for_log("warning .*auth.users.engine.password_hashes.*: is the hash of the empty password, which lets everybody in")

    def test_a_reload_closes_subscribers_of_what_their_user_may_not_receive_any_more(self):
        changed = {"engine": ["c:1", "c:*"], "admin": ["c:*"]}
        subscriptions = {("engine", "SUBSCRIBE", "c:1"): False, ("engine", "SUBSCRIBE", "c:2"): False, ("engine", "PSUBSCRIBE", "c:*"): False,
                         ("admin", "SUBSCRIBE", "c:1", "d"): True, ("admin", "PSUBSCRIBE", "c:1*"): True, ("admin", "PSUBSCRIBE", "c:*"): False,
                         ("admin", "SSUBSCRIBE", "d"): True, ("admin", "SSUBSCRIBE", "c:1"): False, ("admin", "GET", "d"): False}
        self.addCleanup(self.daemon.reload, self.stack.config)
        clients = {}
        for subscription in subscriptions:
            for server in (self.daemon, self.bare):
                clients[subscription, server] = client = self.log_in(subscription[0], "adm" if subscription[0] == "admin" else PASSWORD, server)
                client.call(*subscription[1:])
        self.daemon.reload(merge(self.stack.config, {"auth": {"users": {name: {"channels": channels} for name, channels in changed.items()}}}))
        oracle = self.bare.client()
        self.addCleanup(oracle.connection_pool.disconnect)
        for name, channels in changed.items():
            self.addCleanup(oracle.execute_command, "ACL", "SETUSER", name, "resetchannels",
                            *[rule for rule in ACL[name] if rule[0] == "&"])
            oracle.execute_command("ACL", "SETUSER", name, "resetchannels", *["&" + channel for channel in channels])
        for (subscription, server), client in clients.items():
            if subscriptions[subscription]:
                wait_for(client.is_closed, f"{subscription} is closed by {server.name}")
            else:
                self.assertFalse(client.is_closed(), f"{subscription} at {server.name}")

    def test_exec_asks_again_what_the_user_may_do(self):
        engine, admin = self.log_in("engine"), self.log_in("admin", "adm")
        self.assertEqual(engine.pipeline([("MULTI",), ("SET", "a:1", "x")]), ["OK", "QUEUED"])
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.daemon.reload(merge(self.stack.config, {"auth": {"users": {"engine": {"keys": ["b"]}}}}))
        wait_for(lambda: "no permissions" in str(admin.call("ACL", "DRYRUN", "engine", "GET", "a:1")), "the reload")
        (reply,) = engine.call("EXEC")
        self.assertRegex(reply, "^NOPERM ACLs rules changed .* reason: NOPERM this user has no permissions to access one of the keys")
        self.assertIsNone(admin.call("GET", "a:1"))

    def test_no_second_type_of_a_message_gets_past_what_its_publisher_may_send(self):
        client = self.log_in("publisher")
        allowed, denied = '"message_type": "risk_x"', '"message_type": "order_request"'
        self.assertIn(b"-", client.call("XADD", "s", "*", "message_type", "risk_x", "payload", "x"))
        self.assertIn(b"-", client.call("XADD", "s", "*", "payload", "{%s}" % allowed))
        for fields in (("message_type", "risk_x", "message_type", "order_request"), ("payload", "{%s, %s}" % (allowed, denied)),
                       ("payload", "{%s}" % allowed, "payload", "{%s}" % denied), ("payload", "{%s}" % allowed, "data", "{%s}" % denied)):
            self.assertRegex(str(client.call("XADD", "s", "*", *fields)), "^NOPERM .*type of message", fields)

    def test_a_type_that_another_program_may_read_does_not_get_past_either(self):
        client = self.log_in("publisher")
        allowed, denied = '{"message_type": "risk_x"}', '{"message_type": "order_request"}'
        unclear = "^NOPERM .* this type of message: the type in %s cannot be told for certain, because it holds "
        for name, content in {"UTF-16": denied.encode("utf-16"), "UTF-32": denied.encode("utf-32"), "UTF-16, no mark": denied.encode("utf-16-le"),
                              "text in text": json.dumps(denied), "comment": "/**/" + denied, "list": f"[{denied}]", "cut": denied[:-1],
                              "list as type": '{"message_type": ["order_request"]}', "quotes": denied.replace('"', "'")}.items():
            for fields in (("payload", content, "data", allowed), ("data", content, "x", "1", "message", allowed)):
                self.assertRegex(str(client.call("XADD", "s", "*", *fields)), unclear % f"field '{fields[0]}'", name)
            self.assertRegex(str(client.call("PUBLISH", "c", content)), "^NOPERM", name)
        self.assertEqual(client.call("XLEN", "s"), 0)
        self.assertIn(b"-", client.call("XADD", "s", "*", "payload", "text", "data", allowed))
        self.assertIn(b"-", client.call("XADD", "s", "*", "message_type", "risk_x", "payload", denied[:-1]))

    def test_no_message_of_another_type_is_copied_to_where_its_publisher_writes(self):
        admin, client = self.log_in("admin", "adm"), self.log_in("publisher")
        for key in ("s", "md:s"):
            admin.call("XADD", key, "*", "message_type", "order_request")
            for request in (("COPY", key, key + "2"), ("RENAME", key, key + "2"), ("RENAMENX", key, key + "2"), ("MOVE", key, 0),
                            ("RESTORE", key + "2", 0, "x")):
                self.assertRegex(str(client.call(*request)), "^NOPERM .* this type of message: '[a-z]+' brings messages of any type", request)
            self.assertEqual(admin.call("EXISTS", key, key + "2"), 1)

    def test_who_has_not_logged_in_may_send_but_little(self):
        client = self.connect()
        client.send_raw(b"*3\r\n$4\r\nAUTH\r\n$5\r\nadmin\r\n$1000000\r\n" + b"x" * 200_000)
        self.assertEqual(client.read(), "ERR Protocol error: unauthenticated bulk length")
        self.assertEqual(client.read_rest(), b"")
        known = self.log_in("admin", "adm")
        self.assertEqual(known.call("SET", "a:large", b"x" * 1_000_000), "OK")


class WithoutUsersTest(StackTest):
    def test_auth_answers_as_a_redis_without_a_password(self):
        bare = self.stack.add_redis("bare")
        with resp.Connection(self.daemon.address) as mine, resp.Connection(bare.address) as theirs:
            for request in (("AUTH", "x"), ("AUTH", "default", "x"), ("AUTH", "other", "x"), ("AUTH", "a", "b", "c"), ("GET", "k"),
                            ("CLIENT", "KILL", "USER", "nobody")):
                self.assertEqual(mine.call_raw(*request), theirs.call_raw(*request), request)


class BeyondLoopbackTest(unittest.TestCase):
    def check(self, changes):
        config = make_config({"marketdata": "127.0.0.1:6380", "engine_logic": "127.0.0.1:6381"}, merge({"listen": {"address": "0.0.0.0"}}, changes))
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "d.yaml")
            with open(path, "w") as file:
                file.write(json.dumps(config))
            done = subprocess.run([daemon_program(), "--check-config", path], capture_output=True, text=True, timeout=30, check=False)
            started = None
            if done.returncode:
                started = subprocess.run([daemon_program(), "--config", path], capture_output=True, text=True, timeout=30, check=False)
        return done, started

    def test_without_users_the_daemon_does_not_start(self):
        checked, started = self.check({})
        self.assertIn("name users in auth.users, or allow it with auth.allow_unauthenticated: true", checked.stderr)
        self.assertEqual((checked.returncode, started.returncode), (1, 1))

    def test_it_warns_of_a_default_user_that_may_do_everything(self):
        open_to_all = {"default": {"nopass": True, "commands": ["+@all"], "keys": ["*"]}}
        checked = self.check({"auth": {"users": open_to_all}})[0]
        self.assertEqual(checked.returncode, 0)
        self.assertIn("warning: ", checked.stderr)
        self.assertIn("everybody who reaches 0.0.0.0", checked.stderr)

    def test_it_does_with_users_or_if_told_so(self):
        self.assertEqual(self.check({"auth": {"allow_unauthenticated": True}})[0].returncode, 0)
        self.assertEqual(self.check({"auth": {"users": {"e": {"password_hashes": [HASH]}}}})[0].returncode, 0)


if __name__ == "__main__":
    unittest.main()
