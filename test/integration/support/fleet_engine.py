"""A trading engine of the fleet: a process with redis-py's asyncio client that broadcasts messages to everybody's streams and
reads those of some others with its own group, one after the other."""
import asyncio
import collections
import json
import time
import traceback

import redis.asyncio

# The owners of streams. The first seven run here, the others only receive.
OWNERS = ("portfolio", "collateral", "ml", "factor", "strategy", "websocket", "features", "risk", "analytics", "vpin", "marketdata",
          "quantum", "neural_sde", "molecular_dynamics", "magnn", "thgnn", "toraniko", "backtesting")
ENGINES = OWNERS[:7]
MARKETDATA_TYPES = ("market_data", "price_update", "trade_execution", "historical_data", "cache_updates")
ENGINE_LOGIC_TYPES = (
    "vpin_calculation", "risk_metric", "ml_prediction", "factor_calculation", "analytics_result", "strategy_signal", "portfolio_update",
    "order_request", "position_change", "engine_health", "performance_metric", "error_alert", "system_alert", "toxicity_alert",
    "gpu_computation", "trading_signals", "risk_alerts", "system_coordination", "a_type_that_nobody_configured")
# Alternating as long as there are both.
MESSAGE_TYPES = tuple(kind for index, other in enumerate(ENGINE_LOGIC_TYPES)
                      for kind in (other, MARKETDATA_TYPES[index % len(MARKETDATA_TYPES)]))


def stream(owner):
    return f"nautilus-{owner}-streams"


def group(engine):
    return f"{engine}-group"


def subscriptions(engine, count=5):
    """The streams that an engine reads: those of the next ones."""
    start = OWNERS.index(engine) + 1
    return [stream(OWNERS[(start + step) % len(OWNERS)]) for step in range(count)]


def message(source, instance, number, kind):
    body = {"symbol": "AAPL", "bid": 189.42, "ask": 189.43, "last": 189.42, "volume": 48213377, "venue": "NASDAQ", "sequence": number,
            "comment": "x" * 120}
    return {"message_type": kind, "source_engine": source, "source_instance": instance, "payload": json.dumps(body), "priority": "normal",
            "timestamp": repr(time.time()), "correlation_id": f"{instance}/{number}"}


class Engine:
    """One process of an engine; several of one name share its group as consumers of their own."""

    def __init__(self, name, instance, port, seconds, rate, pipelined):
        self.name, self.instance = name, f"{name}-{instance}"
        self.port, self.seconds, self.rate, self.pipelined = port, seconds, rate, pipelined
        self.published = []  # (number of the message, its type on each stream in the order of OWNERS)
        self.received = collections.defaultdict(list)  # stream -> correlation IDs
        self.delays = []  # seconds from a message's publication to here
        self.problems = []
        self.all_published = None

    def run(self, everybody_published, results):
        """In a process of its own. `everybody_published` is a barrier that all engines pass."""
        try:
            asyncio.run(self.work(everybody_published))
        except BaseException:  # pylint: disable=broad-except
            self.problems.append(traceback.format_exc(limit=3))
            everybody_published.abort()
        results.put({"name": self.name, "instance": self.instance, "published": self.published, "received": dict(self.received),
                     "delays": self.delays, "problems": self.problems})

    async def work(self, everybody_published):
        self.all_published = asyncio.Event()
        client = redis.asyncio.Redis(port=self.port, decode_responses=True, health_check_interval=30)

        async def broadcast_then_meet():
            await self.broadcast(client)
            await asyncio.get_running_loop().run_in_executor(None, everybody_published.wait)
            self.all_published.set()

        await asyncio.gather(broadcast_then_meet(), self.consume(client), self.stay_healthy(client))
        await client.close()

    async def broadcast(self, client):
        start = time.monotonic()
        number = 0
        while time.monotonic() < start + self.seconds:
            kinds = self.kinds(number)
            messages = [message(self.name, self.instance, number, kind) for kind in kinds]
            if self.pipelined:
                pipeline = client.pipeline(transaction=False)
                for owner, fields in zip(OWNERS, messages):
                    pipeline.xadd(stream(owner), fields, maxlen=100000, approximate=True)
                replies = await pipeline.execute()
            else:
                replies = [await client.xadd(stream(owner), fields, maxlen=100000, approximate=True)
                           for owner, fields in zip(OWNERS, messages)]
            if len(set(zip(OWNERS, replies))) != len(OWNERS) or not all(isinstance(reply, str) for reply in replies):
                self.problems.append(f"replies to XADD: {replies}")
            self.published.append((number, kinds))
            number += 1
            await asyncio.sleep(max(0.0, start + number / self.rate - time.monotonic()))

    def kinds(self, number):
        """The types of one broadcast: all the same, or in a pipeline all different."""
        first = 7 * number + OWNERS.index(self.name)
        return [MESSAGE_TYPES[(first + (index if self.pipelined else 0)) % len(MESSAGE_TYPES)] for index in range(len(OWNERS))]

    async def consume(self, client):
        """Ends with the first pass that finds nothing after everybody has published the last message."""
        while True:
            ending, found = self.all_published.is_set(), 0
            for key in subscriptions(self.name):
                block = 100 if self.all_published.is_set() else 1000
                for name, batch in await client.xreadgroup(group(self.name), self.instance, {key: ">"}, count=50, block=block):
                    if name != key or len(batch) > 50:
                        self.problems.append(f"{len(batch)} entries of {name} for {key}")
                    for entry, fields in batch:
                        found += 1
                        self.received[key].append(fields["correlation_id"])
                        self.delays.append(time.time() - float(fields["timestamp"]))
                        if await client.xack(key, group(self.name), entry) != 1:
                            self.problems.append(f"XACK {key} {entry} did not find it pending")
            if ending and not found:
                return
            await asyncio.sleep(0.001)

    async def stay_healthy(self, client):
        while not self.all_published.is_set():
            if not await client.ping():
                self.problems.append("PING")
            await asyncio.sleep(0.5)
