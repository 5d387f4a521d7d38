#!/usr/bin/python3
"""Every state of a client that outlasts a request, and every way in which a reload takes away the right to it.

A client that has lost the right must hear nothing more of what others do and must take nothing from a bus; nothing is lost by that.
One that has kept it goes on as if there had been no reload. DUALBUSD names the daemon.
"""
import contextlib
import hashlib
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from support.harness import StackTest, merge, running, wait_for  # noqa: E402 pylint: disable=wrong-import-position
from support.resp import ReplyError  # noqa: E402 pylint: disable=wrong-import-position

HASH = hashlib.sha256(b"pw").hexdigest()
ALL = {"commands": ["+@all"], "keys": ["*"], "channels": ["*"]}
USERS = {"default": {"nopass": True, **ALL}, "engine": {"password_hashes": [HASH], **ALL}, "operator": {"password_hashes": [HASH], **ALL}}
TOLD = "TOPSECRET"


def less(*denied):
    return {"commands": ["+@all", *["-" + command for command in denied]]}


# --- states: how one begins, and how others bring it news

HEARING = {  # they hear what others do: only the connection's end tells them that it is over
    "SUBSCRIBE": ("SUBSCRIBE", "c"), "PSUBSCRIBE": ("PSUBSCRIBE", "c*"), "SSUBSCRIBE": ("SSUBSCRIBE", "c"), "MONITOR": ("MONITOR",)}
WAITING = {  # they are owed an answer
    "XREAD": ("XREAD", "BLOCK", 0, "STREAMS", "k:s", "$"), "XREAD pinned": ("XREAD", "BLOCK", 0, "STREAMS", "md:s", "$"),
    "XREADGROUP": ("XREADGROUP", "GROUP", "g", "me", "BLOCK", 0, "STREAMS", "k:s", ">"),
    "XREADGROUP pinned": ("XREADGROUP", "GROUP", "g", "me", "COUNT", 1, "BLOCK", 0, "STREAMS", "md:s", ">"),
    "XREAD in database 1": ("XREAD", "BLOCK", 0, "STREAMS", "k:s", "$"),
    "BLPOP": ("BLPOP", "k:l", "k:l2", 0), "BRPOP": ("BRPOP", "k:l", 0), "BLMOVE": ("BLMOVE", "k:l", "k:to", "LEFT", "RIGHT", 0),
    "BRPOPLPUSH": ("BRPOPLPUSH", "k:l", "k:to", 0), "BLMPOP": ("BLMPOP", 0, 1, "k:l", "LEFT"), "BZPOPMIN": ("BZPOPMIN", "k:z", 0),
    "BZPOPMAX": ("BZPOPMAX", "k:z", 0), "BZMPOP": ("BZMPOP", 0, 1, "k:z", "MIN"), "WAIT": ("WAIT", 9, 0)}
NAMES = sorted({words[0] for words in (*HEARING.values(), *WAITING.values())})

# --- losses: what the reload makes of the users, and which states it ends for the user in question

KEYLESS = {"WAIT", *HEARING}
CHANNELS = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"}
EVERY = {*HEARING, *WAITING}
LOSSES = {
    "nothing": ({"operator": {"keys": ["*", "x"]}}, set()),
    "default is gone": ({"default": None}, EVERY),
    "default needs a password": ({"default": {"nopass": None, "password_hashes": [HASH]}}, EVERY),
    "default is disabled": ({"default": {"enabled": False}}, EVERY),
    "the user is gone": ({"engine": None}, EVERY),
    "the user is disabled": ({"engine": {"enabled": False}}, EVERY),
    "commands": (less(*NAMES), EVERY),
    "keys": ({"keys": ["other:*"]}, EVERY - KEYLESS),
    "channels": ({"channels": ["other"]}, CHANNELS),
}


class ReloadsTest(StackTest):
    config = {"auth": {"users": USERS}, "backend": {"dedicated_connections": 64}, "databases": 2}

    def setUp(self):
        super().setUp()
        self.addCleanup(self.daemon.reload, self.stack.config)
        self.operator = self.log_in("operator")

    def log_in(self, user, protocol=2):
        client = self.connect(protocol)
        if user != "default":
            self.assertEqual(client.call("AUTH", user, "pw"), "OK")
        return client

    def users(self, user, changes):
        """A configuration with `changes` to one user, or to those that they name."""
        named = all(value is None or isinstance(value, dict) for value in changes.values())
        return merge(self.stack.config, {"auth": {"users": changes if named else {user: changes}}})

    def blocked(self):
        info = self.operator.call("INFO", "clients").decode()
        return int(info.split("blocked_clients:")[1].split()[0])

    def begin_all(self, user):
        """One client in each state."""
        for stream in ("k:s", "md:s"):
            self.operator.call("XGROUP", "CREATE", stream, "g", "$", "MKSTREAM")
        clients = {}
        for name, words in HEARING.items():
            clients[name] = self.log_in(user)
            clients[name].call(*words)
        for name, words in WAITING.items():
            clients[name] = self.log_in(user)
            if "database 1" in name:
                self.assertEqual(clients[name].call("SELECT", 1), "OK")
            clients[name].send(*words)
        wait_for(lambda: self.blocked() == len(WAITING), "all wait")
        return clients

    def bring_news(self):
        for request in (("PUBLISH", "c", TOLD), ("SPUBLISH", "c", TOLD), ("XADD", "k:s", "*", "message_type", "market_data", "v", TOLD),
                        ("XADD", "md:s", "*", "v", TOLD), ("RPUSH", "k:l", *[TOLD] * 9), ("RPUSH", "k:l2", TOLD),
                        ("ZADD", "k:z", 1, TOLD + "1", 2, TOLD + "2", 3, TOLD + "3")):
            self.assertNotIsInstance(self.operator.call(*request), ReplyError, request)
        self.assertEqual(self.operator.pipeline([("SELECT", 1), ("XADD", "k:s", "*", "v", TOLD), ("SELECT", 0)])[::2], ["OK", "OK"])

    def left(self):
        """Elements on the buses, and entries that were delivered."""
        ask = self.operator.call
        return {"list": ask("LLEN", "k:l") + ask("LLEN", "k:l2") + ask("LLEN", "k:to"), "zset": ask("ZCARD", "k:z"),
                "pending": ask("XPENDING", "k:s", "g")[0] + ask("XPENDING", "md:s", "g")[0]}

    def check(self, user, changes, ended):
        clients = self.begin_all(user)
        self.daemon.reload(self.users(user, changes))
        gone = user == "engine" and (changes.get(user, 0) is None or changes.get(user) == {"enabled": False})
        lost_login = user == "default" and "default" in changes
        for name, client in clients.items():
            if name not in ended:
                continue
            with self.subTest(state=name):
                if gone or name in HEARING:
                    client.read_rest()  # until it is closed
                elif lost_login:
                    self.assertEqual(client.read(), "NOAUTH Authentication required.")
                    self.assertEqual(client.call("GET", "k"), "NOAUTH Authentication required.")
                else:
                    self.assertRegex(client.read(), "^NOPERM this user has no permissions")
                    self.assertEqual(client.call("ECHO", "x"), b"x")
        self.bring_news()
        for name in EVERY - ended:
            with self.subTest(state=name):
                if name == "WAIT":
                    self.assertEqual(self.blocked(), 1)
                    self.operator.call("CLIENT", "UNBLOCK", self.id_of(user, "wait"))
                self.assertNotIsInstance(clients[name].read(), ReplyError)
        pops = {name for name in EVERY - ended if name[0] == "B" and "Z" not in name and name not in ("BLMOVE", "BRPOPLPUSH")}
        self.assertEqual(self.left(), {"list": 10 - len(pops), "zset": 3 - sum(name.startswith("BZ") for name in EVERY - ended),
                                       "pending": sum(name.startswith("XREADGROUP") for name in EVERY - ended)})

    def id_of(self, user, command):
        lines = self.operator.call("CLIENT", "LIST").decode().splitlines()
        fields = [dict(field.split("=", 1) for field in line.split(" ")) for line in lines]
        # Those of earlier rounds are connected still, and do not wait.
        found, = [f["id"] for f in fields if f["user"] == user and f["cmd"].startswith(command) and "b" in f["flags"]]
        return found

    def test_who_never_logged_in(self):
        for loss, (changes, ended) in LOSSES.items():
            if "user" in loss:
                continue
            with self.subTest(loss=loss):
                self.stack.flush()
                self.check("default", changes, ended)
            self.daemon.reload(self.stack.config)

    def test_who_has_logged_in(self):
        for loss, (changes, ended) in LOSSES.items():
            if "default" in loss:
                continue
            with self.subTest(loss=loss):
                self.stack.flush()
                self.check("engine", changes, ended)
            self.daemon.reload(self.stack.config)

    def test_a_reader_that_is_just_looking_is_refused_as_well(self):
        self.operator.call("XGROUP", "CREATE", "k:s", "g", "$", "MKSTREAM")
        over = threading.Event()

        def wake():  # every reader looks, and finds nothing
            with contextlib.closing(self.stack.engine_logic.client()) as bus:
                while not over.is_set():
                    bus.pipeline(transaction=True).xadd("k:s", {"v": TOLD}).xtrim("k:s", maxlen=0, approximate=False).execute()

        for words in (WAITING["XREAD"], WAITING["XREADGROUP"]):
            with self.subTest(words=words), running(wake), contextlib.ExitStack() as until:
                until.callback(over.set)
                for _ in range(5):
                    clients = [self.log_in("engine") for _ in range(20)]
                    for client in clients:
                        client.send(*words)
                    wait_for(lambda: self.blocked() == len(clients), "all wait")
                    self.daemon.reload(self.users("engine", less(words[0].lower())))
                    for client in clients:
                        self.assertRegex(client.read(), "^NOPERM this user has no permissions")
                    self.daemon.reload(self.stack.config)
            over.clear()

    def test_users_appear_where_there_were_none(self):
        self.daemon.reload(merge(self.stack.config, {"auth": None}))
        waiting, listening = self.connect(), self.connect()
        listening.call("SUBSCRIBE", "c")
        waiting.send("BLPOP", "k:l", 0)
        wait_for(lambda: self.blocked() == 1, "it waits")
        self.daemon.reload(merge(self.stack.config, {"auth": {"users": {"default": None}}}))
        self.assertEqual(waiting.read(), "NOAUTH Authentication required.")
        wait_for(listening.is_closed, "the subscriber is closed")

    def test_no_element_is_lost_between_a_bus_and_a_client_that_loses_the_right_to_it(self):
        got, pushed, refused, over = [[] for _ in range(20)], [], [], threading.Event()

        def pop(elements):
            with self.daemon.connect() as client:
                while not over.is_set():
                    reply = client.call("BLPOP", "k:l", 0.2)
                    if isinstance(reply, ReplyError):
                        refused.append(reply)
                        over.wait(0.01)
                    elif reply:
                        elements.append(reply[1])

        def push():
            while not over.is_set():
                numbers = range(len(pushed), len(pushed) + 5)
                self.operator.pipeline([("RPUSH", "k:l", number) for number in numbers])
                pushed.extend(numbers)

        with contextlib.ExitStack() as threads:
            for elements in got:
                threads.enter_context(running(pop, elements))
            threads.enter_context(running(push))
            threads.callback(over.set)
            for config in [self.users("default", {"default": None}), self.stack.config] * 12:
                self.daemon.reload(config)
        left = self.operator.call("LRANGE", "k:l", 0, -1)
        self.assertEqual(sorted(map(int, [*sum(got, []), *left])), pushed)
        self.assertTrue(any(got))
        self.assertEqual(set(refused), {"NOAUTH Authentication required."})

    # --- what a client has queued and watches

    def test_a_transaction_and_what_it_watches_do_not_outlast_the_log_in(self):
        for begun in ([("WATCH", "k"), ("MULTI",), ("SET", "k", "mine")], [("MULTI",), ("SET", "k", "mine")]):
            with self.subTest(begun=begun):
                client = self.connect()
                client.pipeline(begun)
                self.daemon.reload(self.users("default", {"default": None}))
                self.assertEqual(client.call("EXEC"), "EXECABORT Transaction discarded because of: NOAUTH Authentication required.")
                self.assertEqual(client.call("AUTH", "engine", "pw"), "OK")
                self.assertEqual(client.call("EXEC"), "ERR EXEC without MULTI")
                self.assertIsNone(client.call("GET", "k"))
                self.daemon.reload(self.stack.config)

    def test_nothing_of_a_lost_transaction_runs_after_a_new_log_in(self):
        client = self.connect()
        client.pipeline([("MULTI",), ("SET", "k", "mine")])
        self.daemon.reload(self.users("default", {"default": None}))
        self.assertEqual(client.call("AUTH", "engine", "pw"), "QUEUED")
        self.assertRegex(client.call("EXEC"), "^EXECABORT")
        self.assertEqual(client.call("AUTH", "engine", "pw"), "OK")
        self.assertIsNone(client.call("GET", "k"))

    def test_a_watch_without_multi_is_forgotten_with_the_log_in(self):
        client, bus = self.connect(), self.stack.engine_logic.client()
        self.addCleanup(bus.connection_pool.disconnect)
        watching = lambda: any(row["cmd"] == "watch" for row in bus.client_list())  # noqa: E731
        client.call("WATCH", "k")
        self.assertTrue(watching())
        self.daemon.reload(self.users("default", {"default": None}))
        wait_for(lambda: not watching(), "nobody watches for it any more")
        client.call("AUTH", "engine", "pw")
        self.assertEqual(client.pipeline([("MULTI",), ("SET", "k", "mine"), ("EXEC",)])[2], None)

    def test_exec_asks_for_the_rights_of_now(self):
        client = self.log_in("engine")
        client.pipeline([("MULTI",), ("SET", "k", 1), ("INCR", "n")])
        self.daemon.reload(self.users("engine", less("set")))
        replies = client.call("EXEC")
        self.assertRegex(replies[0], "^NOPERM ACLs rules changed")
        self.assertEqual(replies[1], 1)
        client.pipeline([("MULTI",), ("INCR", "n")])
        self.daemon.reload(self.users("engine", less("exec")))
        self.assertEqual(client.call("EXEC"),
                         "EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' command")
        self.assertEqual(client.call("INCR", "n"), 2)

    # --- two states at once, and states on their way

    def test_a_subscriber_that_waits_hears_nothing_though_it_may_wait_a_moment(self):
        client = self.log_in("engine", protocol=3)
        client.call("SUBSCRIBE", "c")
        client.send("BLPOP", "k:l", 0)
        wait_for(lambda: self.blocked() == 1, "it waits")
        bus = self.stack.engine_logic
        bus.pause()
        try:
            self.daemon.reload(self.users("engine", {"engine": None}))
            self.stack.marketdata.client().publish("c", TOLD)
            self.daemon.metrics()
        finally:
            bus.proceed()
        self.assertNotIn(TOLD.encode(), client.read_rest())
        self.operator.call("RPUSH", "k:l", TOLD)
        self.assertEqual(self.operator.call("LLEN", "k:l"), 1)

    def test_a_subscription_on_its_way_is_refused(self):
        self.connect().call("SUBSCRIBE", "other")  # so that the daemon has its connections for that
        bus = self.stack.marketdata
        bus.pause()
        try:
            client = self.connect()
            client.send("SUBSCRIBE", "c")
            wait_for(lambda: any(b"cmd=subscribe" in line and b"sub=0" in line and b"name=probe" not in line
                                 for line in self.operator.call("CLIENT", "LIST").splitlines()), "the request has come")
            self.daemon.reload(self.users("default", {"default": None}))
            self.assertEqual(client.read(), "NOAUTH Authentication required.")
        finally:
            bus.proceed()

    def test_a_request_that_a_pause_holds_back_is_judged_when_the_pause_ends(self):
        client = self.connect()
        client.call("PING")
        self.operator.call("CLIENT", "PAUSE", 60_000, "WRITE")
        self.addCleanup(self.operator.call, "CLIENT", "UNPAUSE")
        client.send("SET", "k", "mine")
        wait_for(lambda: self.blocked() == 1, "the request is held back")
        self.daemon.reload(self.users("default", {"default": None}))
        self.operator.call("CLIENT", "UNPAUSE")
        self.assertEqual(client.read(), "NOAUTH Authentication required.")

    def test_what_keeps_a_client_from_being_cut_off_ends_with_the_right_to_it(self):
        client = self.log_in("engine")
        self.assertEqual(client.call("CLIENT", "NO-EVICT", "ON"), "OK")
        flags = lambda: client.call("CLIENT", "INFO").decode().split(" flags=")[1].split(" ")[0]  # noqa: E731
        self.assertIn("e", flags())
        self.daemon.reload(self.users("engine", less("client|no-evict")))
        self.assertNotIn("e", flags())


if __name__ == "__main__":
    unittest.main()
