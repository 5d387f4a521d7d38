"""redis-py's own tools (locks, scripts, pools, retries, subscribers), with either of its parsers; and what its version 8 sends."""
import asyncio
import threading
import unittest

import redis
import redis.asyncio
from redis.backoff import ConstantBackoff
from redis.connection import HiredisParser, PythonParser
from redis.retry import Retry

from support.client_programs import ClientTest
from support.harness import ENGINE_LOGIC, MARKETDATA, running, stored, wait_for

MIXED = [{"message_type": ("market_data", "order_request")[number % 2], "n": number} for number in range(10)]
BUSES = [MARKETDATA, ENGINE_LOGIC] * 5


class RedisPyTest(ClientTest):
    def setUp(self):
        super().setUp()
        self.url = f"redis://127.0.0.1:{self.daemon.port}/0"

    def from_url(self, **options):
        client = redis.Redis.from_url(self.url, decode_responses=True, **options)
        self.addCleanup(client.connection_pool.disconnect)
        return client

    def test_both_parsers_see_the_same(self):
        binary = bytes(range(256)) * 300
        for parser in (PythonParser, HiredisParser):
            with self.subTest(parser.__name__):
                self.stack.flush()
                client = redis.Redis(connection_pool=redis.ConnectionPool.from_url(self.url, parser_class=parser, health_check_interval=1))
                self.addCleanup(client.connection_pool.disconnect)
                self.assertIs(type(client.connection_pool.get_connection("PING")._parser), parser)  # pylint: disable=protected-access
                client.connection_pool.reset()
                client.mset({"md:big": binary, "small": "ä☃"})
                self.assertEqual(client.mget("md:big", "small", "none"), [binary, "ä☃".encode(), None])
                pipeline = client.pipeline()
                for message in MIXED:
                    pipeline.xadd("s", message, maxlen=100000)
                pipeline.hset("h", mapping={"a": 1, "b": binary}).hgetall("h").lpush("h", 1).zadd("z", {"x": 1.5}).zrange("z", 0, -1, withscores=True)
                replies = pipeline.execute(raise_on_error=False)
                self.assertEqual([stored(entry)[0] for entry in replies[:10]], BUSES)
                self.assertEqual(replies[11], {b"a": b"1", b"b": binary})
                self.assertIsInstance(replies[12], redis.ResponseError)
                self.assertEqual(replies[13:], [1, [(b"x", 1.5)]])
                client.xgroup_create("s", "g", "0")
                read = client.xreadgroup("g", "c", {"s": ">"})[0][1]
                self.assertEqual(sorted(entry for entry, _ in read), sorted(replies[:10]))
                with self.assertRaisesRegex(redis.exceptions.NoScriptError, "No matching script"):
                    client.evalsha("0" * 40, 0)
                client.close()
        self.assert_nothing_refused()

    def test_locks(self):
        client, other = self.from_url(), self.from_url()
        for name in ("md:lock", "lock"):
            with client.lock(name, timeout=20) as held:
                self.assertFalse(other.lock(name, blocking=False).acquire())
                self.assertTrue(held.extend(10) and held.reacquire() and held.owned())
                with running(lambda: other.lock(name, timeout=5, blocking_timeout=20, sleep=0.01).acquire()):  # pylint: disable=cell-var-from-loop
                    held.release()
                held.acquire(blocking=False)
                other.delete(name)
                held.acquire()
        self.assert_nothing_refused()

    def test_scripts_come_back_after_they_were_flushed(self):
        client = self.from_url()
        add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        for expected in (1, 2):
            self.assertEqual([add(keys=[key], args=[1]) for key in ("md:n", "n")], [expected] * 2)
            client.script_flush()
        pipeline = client.pipeline()
        add(keys=["md:n"], args=[5], client=pipeline)
        add(keys=["n"], args=[5], client=pipeline)
        self.assertEqual(pipeline.execute(), [7, 7])
        self.assert_nothing_refused()

    def test_guarded_transactions_and_scans(self):
        client = self.from_url()

        def transfer(pipeline):
            count = int(pipeline.get("count") or 0)
            if count == 0:
                client.set("count", 5)  # somebody else, once
            pipeline.multi()
            pipeline.set("count", count + 1).expire("count", 100).delete("other").xadd("s", {"message_type": "market_data"})

        self.assertEqual(client.transaction(transfer, "count")[:3], [True, True, 0])
        self.assertEqual((client.get("count"), client.xlen("s")), ("6", 1))
        client.mset({("md:" if number % 2 else "") + f"scan:{number}": number for number in range(300)})
        self.assertEqual(len(set(client.scan_iter("*scan:*", count=37))), 300)
        self.assertEqual(len(client.keys("md:scan:*")), 150)
        self.assert_nothing_refused()

    def test_a_pool_that_waits_and_checks_its_connections(self):
        pool = redis.BlockingConnectionPool.from_url(self.url, max_connections=3, timeout=20, health_check_interval=1, client_name="pooled")
        client = redis.Redis(connection_pool=pool)
        self.addCleanup(pool.disconnect)
        threads = [threading.Thread(target=lambda: [client.incr("md:n") for _ in range(50)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(client.get("md:n"), b"400")
        self.assertLessEqual(len([each for each in self.client().client_list() if each["name"] == "pooled"]), 3)

    def test_a_lost_connection_is_made_again(self):
        client = self.from_url(client_name="victim", retry=Retry(ConstantBackoff(0.01), 5), retry_on_error=[redis.ConnectionError], health_check_interval=30)
        client.set("md:k", 1)
        victim = client.client_id()
        self.assertEqual(self.client().client_kill_filter(_id=victim), 1)
        self.assertEqual(client.get("md:k"), "1")
        self.assertEqual((client.client_id() > victim, client.client_getname()), (True, "victim"))

    def test_a_subscriber_in_a_thread_survives_a_lost_connection(self):
        client, heard = self.from_url(), []
        subscriber = client.pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe(**{"prices": lambda message: heard.append(message["data"])})
        subscriber.psubscribe(**{"ord*": lambda message: heard.append(message["data"])})
        thread = subscriber.run_in_thread(sleep_time=0.01, exception_handler=lambda *_: None)  # it goes on, and subscribes again
        publisher = self.from_url()
        try:
            for number in range(2):
                wait_for(lambda: publisher.pubsub_numsub("prices")[0][1] and publisher.pubsub_numpat(), "it has subscribed")
                texts = [f'{{"message_type":"market_data","n":{number}}}', f'{{"message_type":"order_request","n":{number}}}']
                publisher.publish("prices", texts[0])
                publisher.publish("orders", texts[1])
                wait_for(lambda: sorted(heard) == texts, "both are heard")  # pylint: disable=cell-var-from-loop
                heard.clear()
                self.assertEqual(publisher.client_kill_filter(_type="pubsub"), 1)
        finally:
            thread.stop()
            thread.join(20)
        self.assert_nothing_refused()

    def test_engines_with_asyncio(self):
        async def engine(number):
            async with redis.asyncio.Redis(port=self.daemon.port, decode_responses=True, health_check_interval=30) as client:
                async with client.pipeline() as pipeline:
                    for message in MIXED:
                        pipeline.xadd("s", message)
                    ids = await pipeline.execute()
                consumer, got = f"engine-{number}", []
                while len(got) < 10:
                    reply = await client.xreadgroup(f"group-{number}", consumer, {"s": ">"}, count=50, block=1000)
                    for entry, _ in reply[0][1] if reply else []:
                        got.append(entry)
                        await client.xack("s", f"group-{number}", entry)
                async with client.lock("md:lock", timeout=10):
                    await client.incr("md:n")
                return ids

        async def fleet():
            return await asyncio.gather(*(engine(number) for number in range(5)))

        for ids in asyncio.run(fleet()):
            self.assertEqual([stored(entry)[0] for entry in ids], BUSES)
        self.assertEqual(self.client().get("md:n"), b"5")
        self.assert_nothing_refused()


class HandshakeTest(ClientTest):
    """redis-py 8 asks for RESP3 and, without insisting, for what only a managed cluster has."""

    OPENING = [("HELLO", 3), ("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "internal-ip"), ("CLIENT", "SETNAME", "engine"),
               ("CLIENT", "SETINFO", "LIB-NAME", "redis-py"), ("CLIENT", "SETINFO", "LIB-VER", "8.0.0"), ("SELECT", 0)]

    def test_it_is_answered_step_by_step(self):
        connection = self.connect()
        greeting, notifications, *others = [connection.call(*request) for request in self.OPENING]
        self.assertEqual((greeting[b"proto"], greeting[b"mode"], greeting[b"role"]), (3, b"standalone", b"master"))
        self.assertRegex(notifications, "^ERR unknown subcommand 'MAINT_NOTIFICATIONS'")
        self.assertEqual(others, ["OK"] * 4)
        self.assertIn(b"name=engine", connection.call("CLIENT", "INFO"))

    def test_commands_follow_in_one_piece(self):
        connection = self.connect()
        replies = connection.pipeline([*self.OPENING, ("MULTI",), *[("XADD", "s", "*", "message_type", each["message_type"]) for each in MIXED], ("EXEC",)])
        self.assertEqual([stored(entry)[0] for entry in replies[-1]], BUSES)


if __name__ == "__main__":
    unittest.main()
