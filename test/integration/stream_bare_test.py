"""A daemon with one bus of slot 0 beside a bare Redis, and the errors of wrong requests: the same bytes from both."""
import itertools
import re
import shutil
import tempfile
import unittest

from support.harness import ENGINE_LOGIC
from support.redis_stream import OPTIONS
from support.resp import encode
from support.servers import Redis
from support.stream_commands import Commands
from support.stream_comparison import Comparison, clock
from support.stream_model import Bus, Model
from support.stream_replies import tokens
from support.stream_world import MIXED_KEY, TYPES, World, commands_wanted, seeded

# Times since 1970 in milliseconds; no other number in these replies is as large.
TIME = re.compile(rb"^:\d{11,}$")


def timeless(request, raw):
    """The parts of a reply; those that depend on the clock are left out."""
    parts = tokens(raw)
    if request[0] == b"XPENDING" and len(request) > 3 and len(parts) % 5 == 1:
        parts[4::5] = [b":idle"] * len(parts[4::5])
    if request[0] == b"XINFO":
        for i in range(1, len(parts)):
            if TIME.match(parts[i]) or parts[i - 1] in (b"$idle", b"$seen-time"):
                parts[i] = b":time"
    return parts


class BareTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dualbus-test-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.bare = Redis("bare", self.directory, *OPTIONS).start()
        self.addCleanup(self.bare.kill)

    def world(self, slots):
        world = World(slots)
        self.addCleanup(world.end)
        return world

    def connect(self, server, protocol):
        connection = server.connect(protocol=protocol)
        self.addCleanup(connection.close)
        return connection

    def test_I18_one_bus_of_slot_0_answers_byte_for_byte_as_redis(self):
        chance, seed = seeded(self)
        world = self.world({ENGINE_LOGIC: 0})
        model = Model([Bus(ENGINE_LOGIC, 0, anchor=True, default=True)], bare=True)
        commands = Commands(chance, model, [b"s1", b"s2", b"s3"], {ENGINE_LOGIC: TYPES[ENGINE_LOGIC]}, bare=True, mixed_key=MIXED_KEY)
        pairs = {protocol: (self.connect(world.daemon, protocol), self.connect(self.bare, protocol)) for protocol in (2, 3)}
        model_of_bare = Comparison(model, {}, f"seed {seed}, the model beside a bare Redis")
        wanted = commands_wanted(0.2)
        while model_of_bare.count < wanted:
            protocol = chance.choice((2, 3))
            requests = [commands.next() for _ in range(50)]
            started = clock()
            for connection in pairs[protocol]:
                connection.send_raw(b"".join(encode(*request) for request in requests))
            ours, theirs = ([connection.read_raw() for _ in requests] for connection in pairs[protocol])
            moments = started, clock()
            for request, our, their in zip(requests, ours, theirs):
                model_of_bare.check(request, their, protocol, moments)
                if our != their and timeless(request, our) != timeless(request, their):
                    self.fail(model_of_bare.story(request, our, protocol, their))
        for connection in itertools.chain(*pairs.values()):
            connection.close()
        world.check(self)


if __name__ == "__main__":
    unittest.main()
