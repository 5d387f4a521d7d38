"""PING, HELLO, CLIENT, COMMAND, INFO and the like: what the daemon answers itself, in Redis's words."""
import re
import unittest

from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for
from support.resp import encode

# Each line on a fresh connection; the replies to it must be those of a bare Redis, byte for byte.
SAME_AS_REDIS = r"""
PING
PING hello
PING a b
ECHO hello
ECHO
SELECT 0
SELECT 1x
SELECT 99999999999999999999
AUTH default anything
AUTH nobody anything
AUTH anything
AUTH a b c
AUTH
HELLO 1
HELLO 4
HELLO x
HELLO 99999999999999999999
HELLO 2 AUTH nobody x
HELLO 2 AUTH default
HELLO 2 SETNAME
HELLO 2 NONSENSE
HELLO 3 NONSENSE
HELLO 2 SETNAME a\x20b
RESET
QUIT
TIME x
CLIENT
CLIENT ID x
CLIENT GETNAME
CLIENT SETNAME engine-1
CLIENT SETNAME a\x20b
CLIENT SETNAME
CLIENT NOSUCH
CLIENT LIST TYPE nosuch
CLIENT LIST NONSENSE
CLIENT LIST ID x
CLIENT LIST ID
CLIENT LIST TYPE replica
CLIENT LIST TYPE pubsub
CLIENT KILL
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID 0
CLIENT KILL ID x
CLIENT KILL ID 999999
CLIENT KILL TYPE nosuch
CLIENT KILL USER nosuch
CLIENT KILL SKIPME maybe
CLIENT KILL ID 1 ADDR
CLIENT KILL NOSUCH x
CLIENT REPLY nosuch
CLIENT REPLY ON
CLIENT REPLY
CLIENT NO-EVICT on
CLIENT NO-EVICT OFF
CLIENT NO-EVICT maybe
CLIENT NO-EVICT
COMMAND COUNT x
COMMAND NOSUCH
COMMAND GETKEYS GET k
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS XREAD COUNT 2 STREAMS a b 0 0
COMMAND GETKEYS EVAL return 1 a b
COMMAND GETKEYS EVAL x 0
COMMAND GETKEYS FCALL f 0
COMMAND GETKEYS ZUNIONSTORE d 0 x
COMMAND GETKEYS ZUNIONSTORE d 2 a b
COMMAND GETKEYS SORT a STORE b
COMMAND GETKEYS PING
COMMAND GETKEYS GET
COMMAND GETKEYS NOSUCH
COMMAND GETKEYS
COMMAND DOCS nosuch
COMMAND INFO nosuch
COMMAND LIST FILTERBY PATTERN xrang*
COMMAND LIST FILTERBY PATTERN config|resetst*
COMMAND LIST FILTERBY NOSUCH x
COMMAND LIST FILTERBY ACLCAT
COMMAND LIST FILTERBY ACLCAT nosuch
COMMAND LIST FILTERBY MODULE nosuch
COMMAND LIST x
CONFIG
CONFIG GET
CONFIG NOSUCH
CONFIG GET nosuch*
EXEC
DISCARD
UNWATCH
NOSUCHCOMMAND
NOSUCHCOMMAND with args
nosuch a\x00b
no\x00such a
no\x0d\x0asuch a\x0d\x0a
GET a b
"""


def parse(line):
    return [word.encode().decode("unicode_escape").encode("latin-1") for word in line.split(" ")]


class SameAsRedisTest(StackTest):
    def check(self, request, protocol):
        daemon, bare = self.connect(protocol), self.connect(protocol, to=self.stack.engine_logic)
        expected = bare.call_raw(*request)
        got = daemon.call_raw(*request)
        daemon.close()
        bare.close()
        self.assertEqual(got, expected, request)

    def test_replies_are_those_of_redis_in_both_protocols(self):
        for protocol in (2, 3):
            for line in SAME_AS_REDIS.strip().splitlines():
                with self.subTest(f"RESP{protocol} {line}"):
                    self.check(parse(line), protocol)

    def test_command_list_names_all_that_redis_names(self):
        daemon, bare = self.connect(), self.connect(to=self.stack.engine_logic)
        self.assertEqual(set(bare.call("COMMAND", "LIST")) - set(daemon.call("COMMAND", "LIST")), set())
        for category in bare.call("ACL", "CAT"):
            expected = set(bare.call("COMMAND", "LIST", "FILTERBY", "ACLCAT", category))
            got = set(daemon.call("COMMAND", "LIST", "FILTERBY", "aclcat", category))
            # The daemon knows commands of later versions too.
            self.assertEqual((got & set(bare.call("COMMAND", "LIST")), expected - got), (expected, set()), category)

    def test_unknown_commands_are_quoted_as_redis_quotes_them(self):
        requests = [["x" * length] for length in (127, 128, 129, 500)]
        requests += [["nosuch", *["a" * length] * count] for length in (1, 60, 126, 127, 128, 129, 300) for count in (1, 2, 3, 200)]
        requests += [["", "x"], [""], ["get\n"], ["\ngettt"], ["nosuch", "\r\n"], ["nosuch", "", ""], [b"\xff\xfe", b"\x80"], ["%s%n", "%d"]]
        for request in requests:
            with self.subTest(str(request)[:80]):
                self.check(request, 2)

    def test_hello_has_the_fields_of_redis(self):
        for protocol in (2, 3):
            daemon, bare = self.connect(), self.connect(to=self.stack.engine_logic)
            ours, theirs = daemon.call("HELLO", protocol), bare.call("HELLO", protocol)
            if protocol == 2:
                ours, theirs = (dict(zip(flat[::2], flat[1::2])) for flat in (ours, theirs))
            self.assertEqual(list(ours), list(theirs))
            self.assertEqual({**ours, b"id": 0}, {**theirs, b"id": 0})
            self.assertEqual(ours[b"id"], daemon.call("CLIENT", "ID"))

    def test_hello_changes_the_protocol_between_requests_of_one_write(self):
        client = self.connect()
        client.call("SET", "k", "v")
        requests = [("GET", "none"), ("HELLO", 3, "SETNAME", "me"), ("GET", "none"), ("CLIENT", "GETNAME"), ("GET", "k"),
                    ("HELLO", 2), ("GET", "none"), ("HELLO", 3), ("RESET",), ("GET", "none"), ("CLIENT", "GETNAME")]
        client.send_raw(b"".join(encode(*request) for request in requests))
        replies = [client.read_raw() for _ in requests]
        self.assertEqual([replies[number] for number in (0, 2, 3, 4, 6, 8, 9, 10)],
                         [b"$-1\r\n", b"_\r\n", b"$2\r\nme\r\n", b"$1\r\nv\r\n", b"$-1\r\n", b"+RESET\r\n", b"$-1\r\n", b"$-1\r\n"])
        self.assertEqual([replies[number][:1] for number in (1, 5, 7)], [b"%", b"*", b"%"])


class ConnectionTest(StackTest):
    def test_time_is_now(self):
        seconds, micros = map(int, self.connect().call("TIME"))
        bare_seconds, _ = map(int, self.connect(to=self.stack.marketdata).call("TIME"))
        self.assertLess(abs(bare_seconds - seconds), 5)
        self.assertLess(micros, 1_000_000)

    def test_quit_answers_then_closes_and_runs_nothing_behind_it(self):
        client = self.connect()
        client.send_raw(encode("SET", "k", 1) + encode("QUIT") + encode("SET", "k", 2))
        self.assertEqual(client.read_rest(), b"+OK\r\n+OK\r\n")
        self.assertEqual(self.client(self.stack.engine_logic).get("k"), b"1")

    def test_client_reply_off_and_skip_leave_out_exactly_their_replies(self):
        client = self.connect()
        requests = [("SET", "k", 1), ("CLIENT", "REPLY", "SKIP"), ("SET", "k", 2), ("GET", "k"),
                    ("CLIENT", "REPLY", "OFF"), ("SET", "k", 3), ("PING",), ("NOSUCH",), ("MGET", "k", "md:k"), ("INFO",), ("XRANGE", "s", "-", "+"),
                    ("CLIENT", "REPLY", "SKIP"), ("GET", "k"), ("CLIENT", "REPLY", "ON"), ("GET", "k"),
                    ("CLIENT", "REPLY", "SKIP"), ("CLIENT", "LIST"), ("PING",),
                    ("CLIENT", "REPLY", "SKIP"), ("RESET",), ("CLIENT", "REPLY", "OFF"), ("RESET",), ("CLIENT", "REPLY", "SKIP"), ("MSET", "k", 4, "md:k", 5), ("MGET", "k", "md:k")]
        bare = self.connect(to=self.stack.add_redis("bare-for-reply"))
        for connection in (client, bare):
            connection.send_raw(b"".join(encode(*request) for request in requests))
            connection.end_requests()
        replies = client.read_rest()
        self.assertEqual(replies, b"+OK\r\n$1\r\n2\r\n+OK\r\n$1\r\n3\r\n+PONG\r\n+RESET\r\n*2\r\n$1\r\n4\r\n$1\r\n5\r\n")
        self.assertEqual(replies, bare.read_rest())

    def test_a_client_that_ends_its_requests_while_they_wait_gets_every_reply(self):
        marketdata, daemon = self.stack.buses[MARKETDATA], self.stack.daemon
        client = self.connect()
        marketdata.pause()
        try:
            # HELLO waits for INCR's reply, and PING behind it.
            client.send_raw(encode("INCR", "md:ended") + encode("HELLO", 2) + encode("PING", "last"))
            self.assertEqual(self.connect().call("PING"), "PONG")
            daemon.pause()  # the reply and the end of the requests are there at the same time when it looks
        finally:
            marketdata.proceed()
        try:
            wait_for(lambda: self.client(marketdata).get("md:ended") == b"1", "Redis has run it")
            client.end_requests()
        finally:
            daemon.proceed()
        replies = client.read_rest()
        self.assertTrue(replies.startswith(b":1\r\n"), replies)
        self.assertTrue(replies.endswith(b"$4\r\nlast\r\n"), replies)

    def test_setinfo_setname_and_info_show_up_in_client_list(self):
        client = self.connect()
        self.assertEqual(client.call("CLIENT", "SETNAME", "engine-7"), "OK")
        self.assertEqual(client.call("CLIENT", "SETINFO", "LIB-NAME", "redis-py"), "OK")
        self.assertEqual(client.call("CLIENT", "SETINFO", "lib-ver", "9.9"), "OK")
        self.assertEqual(client.call("CLIENT", "SETINFO", "nosuch", "x"), "ERR Unrecognized option 'nosuch'")
        self.assertRegex(client.call("CLIENT", "SETINFO", "LIB-NAME", "a b"), "^ERR lib-name cannot contain spaces")
        own = client.call("CLIENT", "INFO").decode()
        port = client.socket.getsockname()[1]
        for word in (f"id={client.call('CLIENT', 'ID')} ", f"addr=127.0.0.1:{port} ", f"laddr=127.0.0.1:{self.daemon.port} ", "name=engine-7 ",
                     "lib-name=redis-py ", "lib-ver=9.9", "cmd=client", "resp=2 ", "user=default "):
            self.assertIn(word, own)
        bare_fields = re.findall(r"(\S+)=", self.connect(to=self.stack.marketdata).call("CLIENT", "INFO").decode())
        self.assertLessEqual(set(bare_fields), set(re.findall(r"([\w-]+)=", own)))
        others = [self.connect(3) for _ in range(5)]
        ids = [other.call("CLIENT", "ID") for other in others]
        self.assertEqual(len(set(ids)), 5)
        listed = client.call("CLIENT", "LIST").decode().splitlines()
        self.assertEqual({int(re.match(r"id=(\d+) ", line)[1]) for line in listed}, {*ids, client.call("CLIENT", "ID")})
        self.assertEqual(len(client.call("CLIENT", "LIST", "TYPE", "normal").splitlines()), 6)
        self.assertEqual(client.call("CLIENT", "LIST", "ID", ids[0], ids[3], 4711).decode().count("resp=3"), 2)

    def test_client_kill_closes_exactly_the_chosen_clients(self):
        client = self.connect()
        me = client.call("CLIENT", "ID")
        victims = [self.connect() for _ in range(4)]
        ids = [victim.call("CLIENT", "ID") for victim in victims]
        self.assertEqual(client.call("CLIENT", "KILL", "ID", ids[0]), 1)
        wait_for(victims[0].is_closed, "the first victim is closed")
        address = "%s:%d" % victims[1].socket.getsockname()
        self.assertEqual(client.call("CLIENT", "KILL", address), "OK")
        wait_for(victims[1].is_closed, "the second victim is closed")
        self.assertEqual(client.call("CLIENT", "KILL", "ID", me), 0)
        self.assertEqual([victim.call("PING") for victim in victims[2:]], ["PONG", "PONG"])
        self.assertEqual(client.call("CLIENT", "KILL", "LADDR", f"127.0.0.1:{self.daemon.port}"), 2)
        wait_for(victims[3].is_closed, "the last victim is closed")
        with self.counted("dualbus_clients_closed_total", reason="killed") as killed:
            self.assertEqual(client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), 1)
            self.assertEqual(client.read_rest(), b"")
            wait_for(lambda: killed.value == 1, "it is counted")

    def test_command_describes_what_redis_describes(self):
        daemon, bare = self.connect(), self.connect(to=self.stack.marketdata)
        ours = {entry[0]: entry for entry in daemon.call("COMMAND")}
        theirs = {entry[0]: entry for entry in bare.call("COMMAND")}
        self.assertEqual(daemon.call("COMMAND", "COUNT"), len(ours))
        self.assertEqual({name for name in theirs if name not in ours}, set())
        for name, entry in theirs.items():
            # Redis 7.2 added WITHSCORE.
            self.assertEqual(ours[name][:2], [name, -3] if name in (b"zrank", b"zrevrank") else entry[:2], name)
            self.assertEqual(set(ours[name][2]), set(entry[2]), name)
            self.assertEqual(ours[name][3:6], entry[3:6], name)
            self.assertEqual(set(ours[name][6]), set(entry[6]), name)
            self.compare_subcommands(ours[name][9], entry[9])
        names = ("xgroup|create", "CONFIG|get", "get|x", "xgroup|nosuch", "nosuch|x")
        self.assertEqual([entry and entry[:2] for entry in daemon.call("COMMAND", "INFO", *names)], [entry and entry[:2] for entry in bare.call("COMMAND", "INFO", *names)])
        self.assertEqual(set(self.connect(3).call("COMMAND", "DOCS", "xgroup|create", "xgroup|nosuch")), {b"xgroup|create"})
        self.assertEqual([entry and entry[0] for entry in daemon.call("COMMAND", "INFO", "get", "nosuch", "XADD")], [b"get", None, b"xadd"])
        docs = self.connect(3).call("COMMAND", "DOCS", "xadd", "get", "nosuch")
        self.assertEqual(set(docs), {b"xadd", b"get"})
        self.assertEqual(docs[b"xadd"][b"group"], b"stream")
        self.assertEqual(len(self.connect(3).call("COMMAND", "DOCS")), len(ours))
        self.assertEqual({name for name in daemon.call("COMMAND", "LIST") if b"|" not in name}, set(ours))

    def compare_subcommands(self, ours, theirs):
        ours = {entry[0]: entry for entry in ours}
        for entry in theirs:
            mine = ours[entry[0]]
            self.assertEqual((mine[1], mine[3:6]), (entry[1], entry[3:6]), entry[0])
            self.assertEqual((set(mine[2]), set(mine[6])), (set(entry[2]), set(entry[6])), entry[0])

    def test_client_list_shows_the_last_command_as_redis_does(self):
        watching = {}
        for server in (self.daemon, self.stack.engine_logic):
            client, other, seen = self.connect(to=server), self.connect(to=server), []
            own = client.call("CLIENT", "ID")
            for requests in ("WATCH el:a;MULTI;GET el:a;EXEC", "MULTI;GET el:a;EXEC", "MULTI;SET el:a 1;GET k;EXEC", "MULTI;GET el:a", "DISCARD", "NOSUCH x", "GET",
                             "MULTI;EXEC;EXEC", "SUBSCRIBE c", "UNSUBSCRIBE c", "SELECT 99", "XLEN s", "PING", "MULTI;CLIENT INFO;EXEC"):
                replies = client.pipeline([tuple(request.split()) for request in requests.split(";")])
                for shown in (other.call("CLIENT", "LIST", "ID", own), *(reply[0] for reply in replies[-1:] if isinstance(reply, list) and reply and len(str(reply)) > 99)):
                    seen.append((requests, re.search(r" cmd=(\S+) ", shown.decode())[1]))
            watching[server] = seen
        self.assertEqual(watching[self.daemon], watching[self.stack.engine_logic])

    def test_info_has_the_sections_and_fields_that_tools_read(self):
        client = self.connect()
        other = self.connect()
        other.call("PING")
        info = client.call("INFO").decode()
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        self.assertEqual(fields["connected_clients"], "2")
        self.assertEqual(fields["redis_version"], self.client(self.stack.engine_logic).info()["redis_version"])
        self.assertEqual(fields["process_id"], str(self.daemon.pid))
        self.assertEqual((fields["role"], fields["redis_mode"], fields["loading"], fields["tcp_port"]),
                         ("master", "standalone", "0", str(self.daemon.port)))
        self.assertEqual(fields[f"bus_{MARKETDATA}"].split(",")[:3],
                         [f"endpoint={self.stack.marketdata.endpoint}", "id_slot=1", "state=active"])
        self.assertIn("connected=1", fields[f"bus_{ENGINE_LOGIC}"])
        self.assertGreater(int(fields["dualbus_memory_rss"]), 1 << 20)
        self.assertEqual(client.call("INFO", "clients").decode().splitlines()[0], "# Clients")
        self.assertEqual(client.call("INFO", "nosuch"), b"")
        self.assertEqual(re.findall("^# (.*)$", client.call("INFO", "cpu", "Server").decode().replace("\r", ""), re.M), ["Server", "CPU"])
        everything = re.findall("^# (.*)$", client.call("INFO", "everything").decode().replace("\r", ""), re.M)
        self.assertEqual([section for section in everything if section not in ("Commandstats", "Latencystats")],
                         re.findall("^# (.*)$", info.replace("\r", ""), re.M))
        self.assertEqual(self.connect(3).call_raw("INFO", "cluster")[:1], b"=")
        self.assertEqual(self.client().info("server")["tcp_port"], self.daemon.port)

    def test_config_get_shows_the_daemons_own_settings(self):
        client = self.client()
        self.assertEqual(client.config_get("port"), {"port": str(self.daemon.port)})
        self.assertEqual(client.config_get("max*"), {"maxclients": "10000", "maxmemory": "0", "maxmemory-policy": "noeviction"})
        self.assertEqual(self.connect(3).call("CONFIG", "GET", "save", "PROTO-max-bulk-len"), {b"proto-max-bulk-len": b"67108864", b"save": b""})

    def test_local_and_forwarded_replies_keep_the_order_of_the_requests(self):
        client = self.connect()
        requests = [("PING", number) if number % 3 else ("MGET", f"md:{number}", f"x{number}") for number in range(300)]
        requests[50] = ("CLIENT", "LIST")
        requests[100] = ("INFO", "server")
        replies = client.pipeline(requests)
        for number, reply in enumerate(replies):
            if number in (50, 100):
                self.assertIsInstance(reply, bytes)
            else:
                self.assertEqual(reply, str(number).encode() if number % 3 else [None, None])


if __name__ == "__main__":
    unittest.main()
