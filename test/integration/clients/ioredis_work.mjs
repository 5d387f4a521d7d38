// The uses of ioredis besides plain commands, with its default settings: subscribers, scripts, scans, blocking calls,
// consumer groups, automatic pipelines. Prints what it saw as JSON, nothing of which may differ between servers.
//   node ioredis_work.mjs PORT LIBRARY
const { default: Redis } = await import(process.argv[3]);

const client = new Redis(Number(process.argv[2]));
const others = [];
const another = (options) => others[others.push(client.duplicate(options)) - 1];
for (const one of [client, another(), another()]) {
  one.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
}
const [subscriber, waiting] = others;
const seen = {};
const message = (type, n) => JSON.stringify({ message_type: type, n });
const until = async (condition) => {
  while (!condition()) await new Promise((done) => setTimeout(done, 2));
};

const heard = [];
subscriber.on("message", (channel, text) => heard.push(`${channel} ${text}`));
subscriber.on("pmessage", (pattern, channel, text) => heard.push(`${pattern} ${channel} ${text}`));
seen.subscribed = [await subscriber.subscribe("prices", "orders"), await subscriber.psubscribe("pri*")];
await client.publish("prices", message("market_data", 1));
await client.publish("orders", message("order_request", 2));
await until(() => heard.length === 3);
seen.heard = heard.sort();
seen.unsubscribed = [await subscriber.unsubscribe("prices", "orders"), await subscriber.punsubscribe()];
seen.afterwards = await subscriber.set("md:plain", "again");

client.defineCommand("bump", { numberOfKeys: 1, lua: "return {KEYS[1], redis.call('incrby', KEYS[1], ARGV[1])}" });
seen.script = [await client.bump("n", 2), await client.bump("md:n", 5)];
await client.script("FLUSH");
seen.scriptAgain = [await client.bump("n", 2), await client.bump("md:n", 5)];
await client.script("FLUSH");
seen.scriptPipelined = await client.pipeline().bump("n", 1).get("n").bump("m", 1).get("md:n").exec();

for (let i = 0; i < 300; ++i) client.set((i % 2 ? "md:scan:" : "scan:") + i, i);
await client.sadd("set", ...Array.from({ length: 700 }, (_, i) => i));
const found = new Set();
for await (const keys of client.scanStream({ match: "*scan:*", count: 50 })) keys.forEach((key) => found.add(key));
const members = new Set();
for await (const some of client.sscanStream("set")) some.forEach((member) => members.add(member));
seen.scanned = [found.size, members.size];

const popped = waiting.brpop("md:jobs", 10);
await client.lpush("md:jobs", "first", "second");
seen.popped = [await popped, await waiting.blmove("md:jobs", "md:done", "LEFT", "RIGHT", 10), await waiting.bzpopmin("none", 0.01)];
seen.timedOut = await waiting.brpop("md:jobs", 0.05);

seen.group = await client.xgroup("CREATE", "s", "g", "$", "MKSTREAM");
const tail = waiting.xread("BLOCK", 10000, "STREAMS", "s", "$");
const ids = [];
// Until the reader has been there to see it.
const publishing = (async () => {
  while (ids.length < 20 || !seen.tail) {
    ids.push(await client.xadd("s", "*", "message_type", ids.length % 2 ? "market_data" : "order_request", "n", String(ids.length)));
  }
})();
seen.tail = (await tail).map(([key, entries]) => [key, entries.length > 0]);
await publishing;
const got = [];
while (got.length < ids.length) {
  const reply = await waiting.xreadgroup("GROUP", "g", "c", "COUNT", 5, "BLOCK", 10000, "STREAMS", "s", ">");
  for (const [id, fields] of reply[0][1]) got.push([id, fields[3]]);
}
seen.consumed = [got.every(([id, n]) => ids[Number(n)] === id), new Set(got.map(([id]) => id)).size === ids.length];
seen.pending = (await client.xpending("s", "g"))[0] === ids.length;
seen.claimed = (await client.xautoclaim("s", "g", "d", 0, "0-0", "COUNT", 1000))[1].length === ids.length;
seen.acknowledged = (await client.xack("s", "g", ...ids)) === ids.length;
seen.empty = await waiting.xreadgroup("GROUP", "g", "c", "BLOCK", 20, "STREAMS", "s", ">");

const auto = another({ enableAutoPipelining: true });
seen.auto = await Promise.all([auto.set("a", "1"), auto.get("a"), auto.incr("md:auto"), auto.mget("a", "md:auto"), auto.hset("h", "f", "v")]);
seen.error = await client.lpush("a", "x").catch((error) => error.message);
const left = client.duplicate();
left.call("SET", "md:by-name", 1);
seen.called = await left.call("GET", "md:by-name");
await left.quit();

console.log(JSON.stringify(seen));
await Promise.all([client, ...others].map((one) => one.quit()));
