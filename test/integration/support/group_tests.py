"""The common part of the tests of commands about consumer groups."""
from support.harness import Daemon, ENGINE_LOGIC, MARKETDATA, StackTest, shown

TYPES = {MARKETDATA: "market_data", ENGINE_LOGIC: "order_request"}
OTHER = {MARKETDATA: ENGINE_LOGIC, ENGINE_LOGIC: MARKETDATA}
WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
KEY_REQUIRED = ("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an "
                "empty stream automatically.")
BUSY = "BUSYGROUP Consumer Group name already exists"


class GroupTest(StackTest):
    """Entries have IDs of the test's choice; `direct` reads and changes what a bus itself holds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bare = cls.stack.add_redis("bare")

    def setUp(self):
        super().setUp()
        self.direct = {name: self.client(server) for name, server in self.stack.buses.items()}

    def add(self, key, bus, *ids):
        """Entries on a bus; their IDs in client form."""
        for entry in ids:
            self.direct[bus].xadd(key, {"n": entry}, id=entry)
        return [shown(entry, bus) for entry in ids]

    def deliver(self, key, group, consumer, bus, count=None):
        """Has a consumer read what is new on one bus."""
        return self.direct[bus].xreadgroup(group, consumer, {key: ">"}, count=count)

    def positions(self, key):
        """Bus -> group -> last-delivered-id, as the buses have them."""
        return {bus: {group["name"].decode(): group["last-delivered-id"].decode() for group in direct.xinfo_groups(key)} if direct.exists(key) else None
                for bus, direct in self.direct.items()}

    def assert_same_as_bare(self, *words, key="s"):
        """Daemon and bare Redis answer the same bytes in both protocols."""
        for protocol in (2, 3):
            expected = self.connect(protocol, to=self.bare).call_raw(*words)
            self.assertEqual(self.connect(protocol).call_raw(*words), expected, words)
