"""A way to a Redis on which announcements of changes can be slow."""
import asyncio
import contextlib
import threading

from support.servers import free_port


class Relay:
    """Passes everything on. Redis's messages on a connection with CLIENT TRACKING arrive `lag` seconds later."""

    def __init__(self, address):
        self.address = address
        self.port = free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.lag = 0.0
        self._loop = self._stopping = None
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self):
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _serve(self, ready):
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._join, "127.0.0.1", self.port):
            ready.set()
            await self._stopping.wait()

    async def _join(self, reader, writer):
        tracking = asyncio.Event()
        with contextlib.closing(writer), contextlib.suppress(OSError):
            redis_reader, redis_writer = await asyncio.open_connection(*self.address)
            with contextlib.closing(redis_writer):
                ways = [asyncio.ensure_future(way) for way in (self._ask(reader, redis_writer, tracking),
                                                               self._answer(redis_reader, writer, tracking))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(self, reader, writer, tracking):
        while data := await reader.read(1 << 16):
            if b"TRACKING" in data:
                tracking.set()
            writer.write(data)
            await writer.drain()

    async def _answer(self, reader, writer, tracking):
        while data := await reader.read(1 << 16):
            if tracking.is_set() and self.lag > 0:
                await asyncio.sleep(self.lag)
            writer.write(data)
            await writer.drain()
