"""The faults: each a generator that begins one, yields how long to wait, and ends it. The main thread resumes them.

A fault is registered with the thing that it takes for itself: a bus, a daemon, a link between both, or nothing. Several run
at the same time, but never two on the same thing. Waiting is done by yield alone: others go on meanwhile.
"""
import signal

import crowds
from world import BUSES

KINDS = {}  # name -> (at what, function)


def fault(kind, at):
    """`at`: "bus", "daemon", "link" or "clients"."""
    def register(function):
        KINDS[kind] = (at, function)
        return function
    return register


def until(condition, seconds=30):
    """Waits for a condition, but not for ever."""
    waited = 0.0
    while not condition() and waited < seconds:
        yield 0.03
        waited += 0.03


# --- buses -------------------------------------------------------------------------------------------------------------


@fault("kill", "bus")
def kill_bus(world, chance, bus):
    bus.kill()
    yield chance.choice((0, 0.2, 1, 3, 5))
    bus.start(wait=False)
    yield from until(bus.answers)


@fault("stop", "bus")
def stop_bus(world, chance, bus):
    bus.signal(signal.SIGSTOP)
    yield chance.choice((0.05, 0.3, 1, 2.5, 4, 7))
    bus.signal(signal.SIGCONT)


def configured(bus, settings, back, seconds):
    """CONFIG SET for a while."""
    for name, value in settings:
        bus.admin("CONFIG", "SET", name, value)
    yield seconds
    for name, value in back:
        bus.admin("CONFIG", "SET", name, value)


@fault("noreplicas", "bus")
def want_replicas(world, chance, bus):
    yield from configured(bus, [("min-replicas-to-write", 1)], [("min-replicas-to-write", 0)], chance.uniform(0.3, 3))


@fault("oom", "bus")
def want_memory(world, chance, bus):
    yield from configured(bus, [("maxmemory", 1)], [("maxmemory", 0)], chance.uniform(0.3, 3))


@fault("misconf", "bus")
def fail_to_save(world, chance, bus):
    yield from begin_misconf(bus)
    yield chance.uniform(0.3, 3)
    end_misconf(bus)


def begin_misconf(bus):
    for name, value in (("stop-writes-on-bgsave-error", "yes"), ("save", "3600 1"), ("dir", "/proc/self")):
        bus.admin("CONFIG", "SET", name, value)
    bus.admin("BGSAVE", "SCHEDULE")
    yield from until(lambda: b"rdb_last_bgsave_status:err" in bus.admin("INFO", "persistence"), 5)


def end_misconf(bus):
    for name, value in (("dir", bus.data), ("save", ""), ("stop-writes-on-bgsave-error", "no")):
        bus.admin("CONFIG", "SET", name, value)


@fault("readonly", "bus")
def demote(world, chance, bus):
    if stale := chance.random() < 0.3:
        bus.admin("CONFIG", "SET", "replica-serve-stale-data", "no")
    bus.admin("REPLICAOF", "127.0.0.1", "1")
    yield chance.uniform(0.3, 4)
    bus.admin("REPLICAOF", "NO", "ONE")
    if stale:
        bus.admin("CONFIG", "SET", "replica-serve-stale-data", "yes")


@fault("noperm", "bus")
def forbid(world, chance, bus):
    rules = chance.choice((("-xadd", ), ("-xreadgroup", ), ("-xadd", "-rpush", "-set", "-xreadgroup"), ("-@write", ), ("-@read", )))
    bus.admin("ACL", "SETUSER", "default", *rules)
    yield chance.uniform(0.3, 3)
    bus.admin("ACL", "SETUSER", "default", "+@all")


@fault("maxclients", "bus")
def turn_away(world, chance, bus):
    with bus.direct() as door:  # nobody else may come in meanwhile
        door.call("CONFIG", "SET", "maxclients", 1)
        door.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        door.call("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        yield chance.uniform(0.2, 3)
        door.call("CONFIG", "SET", "maxclients", 10000)


@fault("clientkill", "bus")
def kill_clients(world, chance, bus):
    for _ in range(chance.randrange(1, 5)):
        for kind in ("normal", "pubsub"):
            if chance.random() < 0.8:
                bus.admin("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        yield chance.uniform(0, 0.5)


@fault("pause", "bus")
def pause_clients(world, chance, bus):
    seconds = chance.choice((0.2, 1, 3))
    bus.admin("CLIENT", "PAUSE", round(1000 * seconds), chance.choice(("WRITE", "ALL")))
    yield seconds + 0.1


@fault("rotate", "bus")
def rotate_password(world, chance, bus):
    """As an operator does: the new one beside the old one, the file, a reload everywhere, the old one away."""
    old, new = bus.default_password, f"secret-{chance.randrange(10**9)}"
    bus.admin("ACL", "SETUSER", "default", ">" + new)
    bus.default_password = new
    world.rotate_password(bus, new)
    for daemon in world.daemons:
        if daemon.running():
            daemon.signal(signal.SIGHUP)
    yield 0.5
    bus.admin("ACL", "SETUSER", "default", "<" + old)
    if chance.random() < 0.5:
        bus.admin("CLIENT", "KILL", "USER", "default")
    yield 0.3


# --- daemons -----------------------------------------------------------------------------------------------------------


@fault("freeze", "daemon")
def freeze(world, chance, daemon):
    daemon.signal(signal.SIGSTOP)
    yield chance.choice((0.1, 0.5, 1.5, 4))
    daemon.signal(signal.SIGCONT)


@fault("slay", "daemon")
def slay(world, chance, daemon):
    daemon.kill()
    yield chance.choice((0, 0.3, 1.5))
    yield from come_up(daemon)


@fault("leave", "daemon")
def leave(world, chance, daemon):
    """SIGTERM; it has to end by itself, with status 0."""
    daemon.process.terminate()
    yield from until(lambda: not daemon.running(), 40)
    if daemon.running():
        world.findings.add("stuck", f"{daemon.name} does not leave\n{daemon.end_of_log()}", daemon.number)
        daemon.kill()
    elif daemon.process.returncode != 0:
        world.findings.add("died", f"{daemon.name} left with status {daemon.process.returncode}\n{daemon.end_of_log()}", daemon.number)
    yield from come_up(daemon)


def come_up(daemon):
    daemon.restart()
    yield from until(lambda: daemon.fetch("/healthz", timeout=1)[0] == 200 or not daemon.running())


@fault("reload", "daemon")
def reload_storm(world, chance, daemon):
    for _ in range(chance.choice((1, 5, 40))):
        if chance.random() < 0.1:
            daemon.write_config("buses: [")
        else:
            world.change_rules(daemon, chance)
        daemon.signal(signal.SIGHUP)
        yield chance.choice((0, 0.001, 0.05))
    yield 0.1
    daemon.write_config(daemon.config)
    daemon.signal(signal.SIGHUP)


# --- links -------------------------------------------------------------------------------------------------------------


@fault("partition", "link")
def partition(world, chance, link):
    if world.packets_can_be_dropped:
        world.network.drop(link, True)
    else:
        world.network.call("hold", link)
    yield chance.choice((0.1, 0.4, 1.5, 3, 6, 12))
    if world.packets_can_be_dropped:
        world.network.drop(link, False)
    else:
        world.count("connections reset within a partition", world.network.call("release", link))


@fault("delay", "link")
def delay(world, chance, link):
    world.network.call("delay", link, chance.choice((0.005, 0.03, 0.2)), chance.choice((0, 0.01)))
    yield chance.uniform(0.5, 4)
    world.network.call("delay", link, 0)


@fault("trickle", "link")
def trickle(world, chance, link):
    world.network.call("trickle", link, True)
    yield chance.uniform(0.5, 2)
    world.network.call("trickle", link, False)


@fault("cut", "link")
def cut(world, chance, link):
    for _ in range(chance.randrange(1, 5)):
        world.network.call("cut", link)
        yield chance.uniform(0, 0.4)


@fault("reset", "link")
def reset(world, chance, link):
    for _ in range(chance.randrange(1, 5)):
        world.network.call("reset", link)
        yield chance.uniform(0, 0.4)


@fault("lie", "link")
def leave_out_a_reply(world, chance, link):
    """One reply too few, or one too many that looks like one: nothing in the protocol tells."""
    world.network.call("lie", link, chance.choice(("omit", "omit", b"+OK\r\n", b"$-1\r\n")))
    yield 0.3
    world.count("lies told", world.network.call("truth", link))


@fault("garbage", "link")
def garbage(world, chance, link):
    """Something that is not RESP."""
    world.network.call("lie", link, chance.choice((b"garbage\r\n", b"$-5\r\n", b"*99999999999\r\n", b"\0\xff\0\xff", b"$9999999999999\r\n",
                                                   b"HTTP/1.1 400 Bad Request\r\n\r\n")))
    yield 0.3
    world.count("garbage sent", world.network.call("truth", link))


# --- clients -----------------------------------------------------------------------------------------------------------


@fault("crowd", "clients")
def crowd(world, chance, _):
    daemon = chance.choice(world.daemons)
    client = crowds.Crowd(world, "crowd", daemon, chance, [f"r{world.round}:s0", "md:any"])
    client.start()
    yield from until(lambda: not client.is_alive())
    client.stop()


def things_at(world, at):
    """(thing, daemon number or None, bus name or None) of everything that a fault may befall."""
    if at == "bus":
        return [(bus, None, name) for name, bus in world.buses.items()]
    if at == "daemon":
        return [(daemon, daemon.number, None) for daemon in world.daemons]
    if at == "link":
        return [((daemon.number, name), daemon.number, name) for daemon in world.daemons for name in BUSES]
    return [(None, None, None)]
