"""Requests that name several keys, for apart_keys_test.py: what is there before them, and the requests themselves."""
import hashlib
import re

SCRIPT = "return{redis.call('TYPE',KEYS[1]),redis.call('TYPE',KEYS[2])}"
LIBRARY = f"#!lua name=lib\nredis.register_function{{function_name='types',callback=function(KEYS) {SCRIPT} end,flags={{'no-writes'}}}}"

# The keys there before a command; {n} is another number for each key. Entry IDs are those of the bus of their type, of slot 0 or 1.
ENTRIES = ("XADD {key} 1-1 message_type order_request n {n}", "XADD {key} 2-1000000000001 message_type market_data n {n}",
           "XADD {key} 3-1 message_type risk_metric n {n}")
DATA = {
    "none": (),
    "string": ("SET {key} text-{n}",),
    "mortal": ("SET {key} text-{n} PXAT 9999999999999",),
    "list": ("RPUSH {key} 3 1 2 {n}",),
    "set": ("SADD {key} 1 2 3 10{n}",),
    "hash": ("HSET {key} f v g {n}",),
    "zset": ("ZADD {key} 1 x 2 y 3 z {n} w{n}",),
    "geo": ("GEOADD {key} 13.36 38.11 Palermo 15.08 37.50 Catania 13.{n} 37.3 Agrigento",),
    "hll": ("PFADD {key} x y {n}",),
    "stream": ENTRIES[::2],
    "far": (ENTRIES[1], "EXPIREAT {key} 7777777777"),
    "spread": ENTRIES + ("EXPIREAT {key} 9999999999",),
    # Two entries were delivered, and one more waits on each bus.
    "group": ENTRIES[:2] + ("XGROUP CREATE {key} g 0", "XREADGROUP GROUP g c STREAMS {key} >") + ENTRIES[2:] +
             ("XADD {key} 4-1000000000001 message_type market_data n {n}",),
}
# Streams that lie on both buses, or not on that of other keys, unless they are pinned.
SPREAD = ("far", "spread", "group")

# {kind} is a key that has such data, {0} the first of them once more.
SAMPLES = """
MGET {string} {list} {none} {0}
MSETNX {none} x {none} y
MSETNX {none} x {string} y
MSETEX 2 {none} x {string} y
LCS {string} {mortal}
LCS {string} {list} LEN
BITOP AND {none} {string} {mortal}
BITOP NOT {string} {mortal}
BITOP XOR {list} {string} {none}
BITOP OR {none} {string} {list}
PFCOUNT {hll} {hll}
PFCOUNT {hll} {none} {string}
PFMERGE {none} {hll} {hll}
PFMERGE {hll} {hll} {none}
SORT {list} STORE {none}
SORT {set} LIMIT 0 2 DESC STORE {zset}
SORT {list} BY nosort GET # STORE {mortal}
SORT {none} STORE {string}
SORT {list} BY store GET limit GET # STORE {none}
LMOVE {list} {list} LEFT RIGHT
LMOVE {list} {none} RIGHT LEFT
LMOVE {none} {string} RIGHT LEFT
LMOVE {list} {string} RIGHT LEFT
RPOPLPUSH {list} {list}
RPOPLPUSH {list} {none}
LMPOP 2 {list} {list} LEFT
LMPOP 3 {none} {list} {none} RIGHT COUNT 2
LMPOP 2 {string} {list} LEFT
BLMOVE {list} {list} LEFT RIGHT 0.01
BLMOVE {none} {list} LEFT RIGHT 0.01
BRPOPLPUSH {list} {none} 0.01
BLMPOP 0.01 2 {none} {list} LEFT COUNT 9
BLMPOP 0.01 2 {none} {none} LEFT
BLPOP {list} {list} 0.01
BLPOP {none} {none} 0.01
BLPOP {none} {list} {string} 0.01
BRPOP {none} {list} 0.01
BRPOP {none} {string} 0.01
SMOVE {set} {set} 1
SMOVE {set} {none} 2
SMOVE {set} {none} 77
SMOVE {set} {string} 2
SDIFF {set} {set}
SDIFF {none} {set} {set}
SINTER {set} {set}
SINTER {set} {none} {string}
SUNION {set} {set} {0}
SUNION {set} {list}
SINTERCARD 2 {set} {set}
SINTERCARD 2 {set} {set} LIMIT 1
SDIFFSTORE {none} {set} {set}
SDIFFSTORE {set} {0} {set}
SINTERSTORE {none} {set} {set}
SINTERSTORE {string} {set} {none}
SUNIONSTORE {none} {set} {set}
SUNIONSTORE {mortal} {set} {none}
ZDIFF 2 {zset} {zset}
ZDIFF 2 {zset} {set} WITHSCORES
ZINTER 2 {zset} {zset}
ZINTER 2 {zset} {zset} WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
ZUNION 2 {zset} {set} WITHSCORES
ZUNION 3 {zset} {none} {string}
ZINTERCARD 2 {zset} {zset}
ZINTERCARD 2 {zset} {set} LIMIT 1
ZDIFFSTORE {none} 2 {zset} {zset}
ZDIFFSTORE {zset} 2 {0} {zset}
ZINTERSTORE {none} 2 {zset} {zset}
ZINTERSTORE {list} 2 {zset} {zset} WEIGHTS 2 3
ZUNIONSTORE {none} 2 {zset} {zset}
ZUNIONSTORE {zset} 2 {zset} {set} AGGREGATE MIN
ZUNIONSTORE {string} 1 {none}
ZRANGESTORE {none} {zset} 0 -1
ZRANGESTORE {zset} {zset} 1 3 BYSCORE REV LIMIT 0 1
ZRANGESTORE {string} {none} 0 -1
ZRANGESTORE {none} {list} 0 -1
ZMPOP 2 {zset} {zset} MIN
ZMPOP 2 {none} {zset} MAX COUNT 2
BZMPOP 0.01 2 {none} {zset} MIN
BZMPOP 0.01 2 {none} {none} MAX
BZPOPMIN {zset} {zset} 0.01
BZPOPMIN {none} {string} 0.01
BZPOPMAX {none} {zset} 0.01
GEOSEARCHSTORE {none} {geo} FROMLONLAT 15 37 BYRADIUS 200 km
GEOSEARCHSTORE {zset} {geo} FROMMEMBER Palermo BYBOX 400 400 km ASC COUNT 1 STOREDIST
GEOSEARCHSTORE {string} {none} FROMLONLAT 15 37 BYRADIUS 200 km
GEORADIUS {geo} 15 37 200 km STORE {none}
GEORADIUS {geo} 15 37 200 km COUNT 1 ANY STOREDIST {zset}
GEORADIUS {geo} 15 37 200 km STORE {none} STOREDIST {none}
GEORADIUS {none} 15 37 200 km STORE {string}
GEORADIUSBYMEMBER {geo} Palermo 200 km STORE {none}
GEORADIUSBYMEMBER {geo} Palermo 200 km DESC STOREDIST {string}
XREAD STREAMS {stream} {stream} 0 0
XREAD COUNT 1 STREAMS {spread} {spread} 0 1-1
XREAD COUNT 9 STREAMS {none} {spread} {stream} 0 2 3-1
XREAD BLOCK 10 STREAMS {none} {spread} 0 0
XREAD BLOCK 10 STREAMS {spread} {stream} $ $
XREAD STREAMS {far} {far} {stream} 0 2-1000000000000 2
XREAD STREAMS {none} {string} 0 0
XREADGROUP GROUP g c STREAMS {group} {group} > >
XREADGROUP GROUP g c STREAMS {group} {group} {group} > 0 >
XREADGROUP GROUP g c NOACK STREAMS {group} {group} > >
XREADGROUP GROUP g c BLOCK 10 STREAMS {group} {group} > >
XREADGROUP GROUP g d BLOCK 10 STREAMS {group} {group} 0 0
XREADGROUP GROUP g streams COUNT 1 STREAMS {group} {group} 2-1 0
XREADGROUP GROUP streams c STREAMS {group} {group} > >
XREADGROUP GROUP g c STREAMS {spread} {stream} > >
XREADGROUP GROUP g c STREAMS {none} {string} > 0
EVAL %s 2 {string} {list} x
EVAL_RO %s 3 {zset} {set} {none}
EVALSHA %s 2 {hash} {stream}
EVALSHA_RO %s 2 {none} {mortal}
FCALL types 2 {string} {list}
FCALL_RO types 2 {stream} {hash} x
""".strip() % (SCRIPT, SCRIPT, *[hashlib.sha1(SCRIPT.encode()).hexdigest()] * 2)
# Commands that touch keys of every kind, and those that know only keys with one bus.
OF_EVERY_KIND = """
DEL {KIND} {KIND} {0}
UNLINK {KIND} {none} {KIND}
EXISTS {KIND} {KIND} {0}
TOUCH {KIND} {none} {KIND}
RENAME {KIND} {none}
RENAME {KIND} {KIND}
RENAME {KIND} {string}
RENAME {mortal} {KIND}
RENAMENX {KIND} {none}
RENAMENX {list} {KIND}
COPY {KIND} {none}
COPY {KIND} {string}
COPY {KIND} {set} REPLACE
COPY {mortal} {KIND} REPLACE
OBJECT ENCODING {KIND}
TYPE {KIND}
EXPIREAT {KIND} 8888888888
PERSIST {KIND}
EXPIRETIME {KIND}
""".strip()
OF_EVERY_KIND_ON_ONE_BUS = """
MGET {KIND} {string}
MSET {KIND} x {KIND} y {0} z
""".strip()
PLACE = re.compile(r"\{(\w+)\}")


def samples():
    yield from SAMPLES.splitlines()
    for kind in DATA:
        for sample in OF_EVERY_KIND.splitlines() + ([] if kind in SPREAD else OF_EVERY_KIND_ON_ONE_BUS.splitlines()):
            yield sample.replace("KIND", kind)


def kinds_of(sample):
    return [kind for kind in PLACE.findall(sample) if not kind.isdigit()]


def fill(sample, keys):
    """The words of a request."""
    rest = iter(keys)
    return [PLACE.sub(lambda place: keys[int(place[1])] if place[1].isdigit() else next(rest), word) for word in sample.split()]


def about(key, templates, number=0):
    return [[word.format(key=key, n=number) for word in template.split()] for template in templates]
