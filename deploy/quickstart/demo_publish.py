#!/usr/bin/python3
"""Seven engines publish through dualbusd as on the legacy message bus; a consumer on each bus checks the entries that arrive.

    demo_publish.py [--seconds 5] [--rate 10] [--port 6379] [--admin-port 9121]
                    [--marketdata-port 6380] [--engine-logic-port 6381]

Every engine broadcasts each message to the stream of every engine (XADD nautilus-<engine>-streams MAXLEN ~ 100000 * ...),
all types in one stream, keeps its state in a key, and knows nothing of buses. The consumers read the same streams on
their own bus with XREADGROUP and expect exactly the entries that belong there: each once, none of the other bus, under
the ID that the publisher got. Exit status 0 when that holds.
"""
import argparse
import asyncio
import collections
import json
import sys
import time
import uuid

import redis.asyncio as redis

import bus_table

MARKETDATA, ENGINE_LOGIC = "marketdata", "engine_logic"
# The bus of each type, as in config/dualbus.yaml. No list there names margin_call: the default bus gets it.
ENGINES = {
    "portfolio": {"portfolio_update": ENGINE_LOGIC, "position_change": ENGINE_LOGIC},
    "collateral": {"margin_call": ENGINE_LOGIC, "risk_metric": ENGINE_LOGIC},
    "ml": {"ml_prediction": ENGINE_LOGIC, "gpu_computation": ENGINE_LOGIC},
    "factor": {"factor_calculation": ENGINE_LOGIC, "analytics_result": ENGINE_LOGIC},
    "strategy": {"strategy_signal": ENGINE_LOGIC, "order_request": ENGINE_LOGIC},
    "websocket": {"market_data": MARKETDATA, "trade_execution": MARKETDATA},
    "features": {"price_update": MARKETDATA, "vpin_calculation": ENGINE_LOGIC},
}
STREAMS = [f"nautilus-{engine}-streams" for engine in ENGINES]
# A client ID carries the slot of its bus above the sequence number.
SLOT_STEP = 10**12
GROUP = f"demo-{uuid.uuid4().hex[:8]}"
# Seconds without an entry after which consumers give up.
PATIENCE_SECONDS = 10


def connect(port):
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True, socket_keepalive=True, health_check_interval=30)


def message(engine, message_type, sequence):
    payload = {"symbol": "AAPL", "bid": 189.42, "ask": 189.43, "bid_size": 1200, "ask_size": 900, "last": 189.42,
               "volume": 48213377, "venue": "NASDAQ", "sequence": sequence}
    return {"message_type": message_type, "source_engine": engine, "source_instance": f"{engine}-1",
            "payload": json.dumps(payload), "priority": "normal", "timestamp": repr(time.time()),
            "correlation_id": str(uuid.uuid4())}


class Demo:
    def __init__(self, options):
        self.options = options
        self.ports = {MARKETDATA: options.marketdata_port, ENGINE_LOGIC: options.engine_logic_port}
        self.published = {bus: set() for bus in self.ports}  # (stream, bus ID)
        self.published_types = {bus: collections.Counter() for bus in self.ports}
        self.slots = {bus: set() for bus in self.ports}
        self.consumed = {bus: [] for bus in self.ports}
        self.consumed_types = {bus: collections.Counter() for bus in self.ports}
        self.connections = dict.fromkeys([*self.ports, "dualbusd"], 0)  # the most that were seen
        self.publishing = True

    async def publish(self, engine):
        client, state_client = connect(self.options.port), connect(self.options.port)
        # Engines are not in step with each other.
        start = time.monotonic() + list(ENGINES).index(engine) / len(ENGINES) / self.options.rate
        for sequence in range(self.options.seconds * self.options.rate):
            due = start + sequence / self.options.rate
            await asyncio.sleep(max(0, due - time.monotonic()))
            await state_client.set(f"nautilus-{engine}-state", "running", ex=60)
            for message_type, bus in ENGINES[engine].items():
                fields = message(engine, message_type, sequence)
                for stream in STREAMS:
                    client_id = await client.xadd(stream, fields, maxlen=100000, approximate=True)
                    milliseconds, _, tail = client_id.partition("-")
                    slot, bus_sequence = divmod(int(tail), SLOT_STEP)
                    self.slots[bus].add(slot)
                    self.published[bus].add((stream, f"{milliseconds}-{bus_sequence}"))
                    self.published_types[bus][message_type] += 1
        await client.close()
        await state_client.close()

    async def consume(self, bus):
        client = connect(self.ports[bus])
        last_entry = time.monotonic()
        while self.publishing or len(self.consumed[bus]) < len(self.published[bus]):
            reply = await client.xreadgroup(GROUP, "demo", dict.fromkeys(STREAMS, ">"), count=200, block=200)
            for stream, entries in reply:
                for entry_id, fields in entries:
                    self.consumed[bus].append((stream, entry_id))
                    self.consumed_types[bus][fields["message_type"]] += 1
                await client.xack(stream, GROUP, *[entry_id for entry_id, _ in entries])
            if reply or self.publishing:
                last_entry = time.monotonic()
            elif time.monotonic() - last_entry > PATIENCE_SECONDS:
                break
        await client.close()

    async def report_progress(self):
        for second in range(1, 3600):
            await asyncio.sleep(1)
            scrape = await asyncio.to_thread(bus_table.Scrape, self.options.admin_port)
            for name, count in scrape.connections(self.ports).items():
                self.connections[name] = max(self.connections[name], count or 0)
            counts = "".join(f"   {bus} {len(entries):,}" for bus, entries in self.consumed.items())
            print(f"  {second:2} s   published {sum(map(len, self.published.values())):,}   consumed:{counts}", flush=True)

    async def run(self):
        for bus, port in self.ports.items():
            client = connect(port)
            for stream in STREAMS:
                await client.xgroup_create(stream, GROUP, id="$", mkstream=True)
            await client.close()
        consumers = [asyncio.create_task(self.consume(bus)) for bus in self.ports]
        progress = asyncio.create_task(self.report_progress())
        try:
            await asyncio.gather(*(self.publish(engine) for engine in ENGINES))
            self.publishing = False
            await asyncio.gather(*consumers)
        finally:
            for task in (*consumers, progress):
                task.cancel()
            await asyncio.gather(*consumers, progress, return_exceptions=True)

    async def remove_groups(self):
        for port in self.ports.values():
            client = connect(port)
            for stream in STREAMS:
                await client.xgroup_destroy(stream, GROUP)
            await client.close()

    def mistakes(self):
        """Every way in which a bus did not get exactly what belongs there."""
        found = []
        for bus in self.ports:
            consumed = set(self.consumed[bus])
            if len(consumed) != len(self.consumed[bus]):
                found.append(f"{bus}: {len(self.consumed[bus]) - len(consumed)} entries came twice")
            if self.published[bus] - consumed:
                found.append(f"{bus}: {len(self.published[bus] - consumed)} published entries never came")
            if consumed - self.published[bus]:
                found.append(f"{bus}: {len(consumed - self.published[bus])} entries that were not published there")
            for name in sorted(self.published_types[bus].keys() | self.consumed_types[bus].keys()):
                sent, came = self.published_types[bus][name], self.consumed_types[bus][name]
                if sent != came:
                    found.append(f"{bus}: {name}: {sent} published, {came} consumed")
            if len(self.slots[bus]) != 1:
                found.append(f"{bus}: IDs carry the slots {sorted(self.slots[bus])} instead of one")
        return found

    def print_result(self):
        for bus in self.ports:
            types = len(self.consumed_types[bus])
            print(f"  {bus}: {len(self.consumed[bus]):,} entries of {types} types, each exactly once")


async def wait_for_info(options, ports):
    """A scrape in which the daemon's poller has seen all that the buses have done so far."""
    done = {}
    for bus, port in ports.items():
        client = connect(port)
        done[bus] = (await client.info("stats"))["total_commands_processed"]
        await client.close()
    deadline = time.monotonic() + 5
    while True:
        scrape = bus_table.Scrape(options.admin_port)
        seen = {bus: scrape.sum("redis_commands_processed_total", bus=bus) or 0 for bus in ports}
        if all(seen[bus] >= count for bus, count in done.items()) or time.monotonic() > deadline:
            return scrape
        await asyncio.sleep(0.1)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="how long to publish")
    parser.add_argument("--rate", type=int, default=10, help="rounds per second and engine")
    parser.add_argument("--port", type=int, default=6379, help="of dualbusd")
    parser.add_argument("--marketdata-port", type=int, default=6380)
    parser.add_argument("--engine-logic-port", type=int, default=6381)
    parser.add_argument("--admin-port", type=int, default=9121)
    options = parser.parse_args()
    demo = Demo(options)
    before = await wait_for_info(options, demo.ports)
    await demo.run()
    after = await wait_for_info(options, demo.ports)
    mistakes = demo.mistakes()
    if mistakes:
        print("demo_publish.py: the buses did not get what belongs there", *mistakes, sep="\n  ", file=sys.stderr)
        return 1
    demo.print_result()
    print("\nThe messages by bus. CPU, connections and times are those of the demo; the time of a bus is that from the daemon to\n"
          "Redis and back, the time of dualbusd what it adds itself:\n")
    bus_table.print_table(demo.ports, before, after, options.port, demo.connections)
    await demo.remove_groups()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except (redis.RedisError, OSError) as error:
        sys.exit(f"demo_publish.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
