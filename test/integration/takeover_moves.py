#!/usr/bin/python3
"""Moves a fleet to the daemon and back, many times, and counts: is anything lost or doubled, and for how long does nobody serve?

    DUALBUSD=PROGRAM test/integration/takeover_moves.py [--moves 10] [--clients 2000]

Writers and consumer groups on four streams, BLPOP workers, subscribers, a counter with WATCH, and many clients that only look
now and then. It ends with an error if a stream entry is lost or doubled, if the counter is wrong, or if a client does not come
back. Elements of lists and published messages are counted and told. Not among the tests that run by themselves: ten moves take minutes.
"""
import argparse
import asyncio
import collections
import contextlib
import multiprocessing
import socket
import threading
import time
import unittest

import redis
import redis.asyncio as aio
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import TimeoutError as Late

from support.takeover_stack import TakeoverStack

STREAMS = [f"nautilus-{name}-streams" for name in ("risk", "ml", "portfolio", "factor")]
GROUPS = ("a-group", "b-group")
TYPES = ("market_data", "order_request", "price_update", "risk_metric", "of-no-rule")
BROKEN = (Lost, Late, OSError)


class Fleet:
    """Everybody who is connected, in a thread of its own."""

    def __init__(self, address, crowd):
        self.host, self.port = address
        self.crowd_size = crowd
        self.sent = {key: set() for key in STREAMS}
        self.got = {(key, group): collections.Counter() for key in STREAMS for group in GROUPS}
        self.pushed, self.popped = set(), collections.Counter()
        self.published, self.heard = set(), [collections.Counter() for _ in range(2)]
        self.raised = self.unclear = 0  # of the counter: certainly, and perhaps
        self.waits = []
        self.writing = 0  # those who have not had their last answer
        self.problems = collections.Counter()
        self._stopping = self._reading = self._ended = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def start(self):
        self._thread.start()
        self._ready.wait()

    def stop_writing(self):
        self._loop.call_soon_threadsafe(self._stopping.set)

    def stop(self):
        self._loop.call_soon_threadsafe(self._reading.clear)
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(60)

    async def _run(self):
        self._stopping, self._reading, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._reading.set()
        tasks = [self._count(), self._publish(), *(self._push(number) for number in range(2)), *(self._pop() for _ in range(4)),
                 *(self._hear(counter) for counter in self.heard), *(self._look() for _ in range(self.crowd_size))]
        for key in STREAMS:
            tasks += [self._write(key, number) for number in range(2)]
            tasks += [self._read(key, group, f"c{number}") for group in GROUPS for number in range(2)]
        self._ready.set()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, BaseException):
                self.problems[repr(done)[:100]] += 1

    def _client(self):
        return aio.Redis(host=self.host, port=self.port, decode_responses=True)

    async def _until_answered(self, call):
        while True:
            try:
                return await call()
            except BROKEN:
                await asyncio.sleep(0.02)

    async def _write(self, key, number):
        client, count = self._client(), 0
        self.writing += 1
        while not self._stopping.is_set():
            name = f"{number}-{count}"
            message_type = TYPES[count % len(TYPES)]
            await self._until_answered(lambda: client.xadd(key, {"name": name, "message_type": message_type}))
            self.sent[key].add(name)
            count += 1
            await asyncio.sleep(0.05)
        self.writing -= 1
        await client.close()

    async def _read(self, key, group, consumer):
        client, start, seen = self._client(), "0", set()
        while self._reading.is_set():
            try:
                reply = await client.xreadgroup(group, consumer, {key: start}, count=100, block=500)
                entries = [entry for _, batch in reply for entry in batch]
                for number, fields in entries:
                    if number not in seen:  # what was delivered with a lost reply comes again as pending
                        seen.add(number)
                        self.got[key, group][fields["name"]] += 1
                if entries:
                    await client.xack(key, group, *(number for number, _ in entries))
                if not entries or start == ">":
                    start = ">"
            except BROKEN:
                start = "0"
                await asyncio.sleep(0.02)
        await client.close()

    async def _push(self, number):
        client, count = self._client(), 0
        self.writing += 1
        while not self._stopping.is_set():
            name = f"{number}-{count}"
            await self._until_answered(lambda: client.rpush("queue", name))
            self.pushed.add(name)
            count += 1
            await asyncio.sleep(0.03)
        self.writing -= 1
        await client.close()

    async def _pop(self):
        client = self._client()
        while self._reading.is_set():
            with contextlib.suppress(*BROKEN):
                if popped := await client.blpop("queue", timeout=1):
                    self.popped[popped[1]] += 1
                continue
            await asyncio.sleep(0.02)
        await client.close()

    async def _publish(self):
        client, count = self._client(), 0
        while not self._stopping.is_set():
            await self._until_answered(lambda: client.publish("channel", str(count)))
            self.published.add(str(count))
            count += 1
            await asyncio.sleep(0.05)
        await client.close()

    async def _hear(self, counter):
        client = self._client()
        while self._reading.is_set():
            subscription = client.pubsub()
            with contextlib.suppress(*BROKEN):
                await subscription.subscribe("channel")
                while self._reading.is_set():
                    if message := await subscription.get_message(ignore_subscribe_messages=True, timeout=0.5):
                        counter[message["data"]] += 1
            await asyncio.sleep(0.02)
        await client.close()

    async def _count(self):
        """One client alone raises the counter, so an EXEC without a reply shows at the next look."""
        client, value = self._client(), 0
        while not self._stopping.is_set():
            try:
                async with client.pipeline(transaction=True) as pipe:
                    await pipe.watch("counter")
                    found = int(await pipe.get("counter") or 0)
                    if found not in (value, value + self.unclear):
                        self.problems[f"the counter is {found}, not {value}"] += 1
                    value, self.unclear = found, 1
                    pipe.multi()
                    pipe.set("counter", found + 1)
                    await pipe.execute()
                    value, self.unclear = found + 1, 0
            except redis.WatchError as error:  # also what the library makes of a connection that is lost meanwhile
                if "ConnectionError" not in str(error):
                    self.problems[f"somebody else has raised the counter: {error}"] += 1
            except BROKEN:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.03)
        self.raised = value
        await client.close()

    async def _look(self):
        """A client of the crowd."""
        writer = None
        while self._reading.is_set():
            began = time.monotonic()
            while self._reading.is_set():
                try:
                    if writer is None:
                        reader, writer = await asyncio.open_connection(self.host, self.port)
                    writer.write(b"PING\r\n")
                    if await asyncio.wait_for(reader.readline(), 20) == b"+PONG\r\n":
                        break
                except (OSError, asyncio.TimeoutError):
                    pass
                if writer is not None:
                    writer.close()
                writer = None
                await asyncio.sleep(0.05)
            self.waits.append(time.monotonic() - began)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 4)
        if writer is not None:
            writer.close()


def probe(address, stopping, outages):
    """For how long a new connection gets no answer. In a process of its own: the fleet keeps its own busy."""
    down, longest, times = None, 0.0, 0
    while not stopping.is_set():
        began = time.monotonic()
        try:
            with socket.create_connection(address, timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                good = connection.recv(16) == b"+PONG\r\n"
        except OSError:
            good = False
        if good:
            took = time.monotonic() - (down or began)
            if down or took > 0.1:
                longest, times, down = max(longest, took), times + 1, None
        else:
            down = down or began
        time.sleep(0.003)
    outages.put((longest, times))


class Moves(TakeoverStack):
    """Not found by test runners that look for test_…: see main."""

    moves, crowd = 10, 2000

    def runTest(self):  # pylint: disable=invalid-name
        for key in STREAMS:
            for group in GROUPS:
                with self.old.client() as old:
                    old.xgroup_create(key, group, "0", mkstream=True)
        fleet = Fleet(self.address, self.crowd)
        fleet.start()
        self.addCleanup(fleet.stop)
        self.addCleanup(fleet.stop_writing)
        stopping, outages = multiprocessing.Event(), multiprocessing.Queue()
        prober = multiprocessing.Process(target=probe, args=(self.address, stopping, outages), daemon=True)
        prober.start()
        for number in range(self.moves):
            self.until(self.everybody_is_connected, "everybody has come back")
            there = self.run_script("--watch", "0")
            self.until(self.everybody_is_connected, "everybody has come to the daemon")
            back = self.run_script("--rollback", "--timeout", "100")
            refused = [line[13:].strip() for line in (there + back).splitlines() if "refused for" in line or "held back for" in line]
            print(f"move {number + 1} there and back: {'; '.join(refused)}", flush=True)
            for bus in (self.marketdata, self.engine_logic):
                with bus.client() as client:
                    client.flushall()
        stopping.set()
        self.outages = outages.get(timeout=30)
        prober.join(30)
        fleet.stop_writing()
        self.until(lambda: fleet.writing == 0, "the writers have had their last answers")
        self.until(lambda: all(len(fleet.got[key, group]) >= len(fleet.sent[key]) for key, group in fleet.got), "everything is delivered", False)
        self.until(lambda: len(fleet.popped) >= len(fleet.pushed), "the queue is empty", False)
        fleet.stop()
        self.tell(fleet)
        for (key, group), got in fleet.got.items():
            self.assertEqual(set(got) ^ fleet.sent[key], set(), f"{group} of {key}: lost, or not acknowledged to the writer")
            self.assertEqual([name for name, count in got.items() if count > 1], [], f"{group} of {key}: doubled")
        self.assertEqual(fleet.problems, {})
        with self.old.client() as old:
            self.assertIn(int(old.get("counter")), (fleet.raised, fleet.raised + fleet.unclear))

    def everybody_is_connected(self):
        with redis.Redis(*self.address) as client:
            return client.info("clients")["connected_clients"] >= self.crowd

    def until(self, condition, event, needed=True, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.assertFalse(needed, "waited in vain: " + event)
                return
            time.sleep(0.1)

    def tell(self, fleet):
        entries, deliveries = sum(map(len, fleet.sent.values())), sum(sum(got.values()) for got in fleet.got.values())
        print(f"entries: {entries} written, {deliveries} deliveries to {len(GROUPS)} groups each")
        print(f"list: {len(fleet.pushed)} pushed, {len(fleet.pushed - set(fleet.popped))} lost, "
              f"{sum(count > 1 for count in fleet.popped.values())} doubled")
        for heard in fleet.heard:
            print(f"subscriber: {len(fleet.published)} published, {len(fleet.published - set(heard))} not heard, "
                  f"{sum(count > 1 for count in heard.values())} doubled")
        print(f"counter: {fleet.raised}; problems: {dict(fleet.problems)}")
        print(f"nobody served a new connection for {self.outages[0]:.3f} s at most ({self.outages[1]} times); "
              f"the longest wait of one of {fleet.crowd_size} clients: {max(fleet.waits, default=0):.3f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=Moves.moves)
    parser.add_argument("--clients", type=int, default=Moves.crowd)
    arguments = parser.parse_args()
    Moves.moves, Moves.crowd = arguments.moves, arguments.clients
    result = unittest.TextTestRunner(verbosity=0).run(Moves())
    raise SystemExit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
