// The uses of node-redis besides plain commands, with its default settings: subscribers, scripts, scans, blocking calls,
// consumer groups. Prints what it saw as JSON, nothing of which may differ between servers.
//   node node_redis_work.mjs PORT LIBRARY
const { createClient, createClientPool, defineScript } = await import(process.argv[3]);

const bump = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1])",
  parseCommand(parser, key, by) {
    parser.pushKey(key);
    parser.push(String(by));
  },
  transformReply: (reply) => reply,
});
const client = createClient({ socket: { host: "127.0.0.1", port: Number(process.argv[2]) }, scripts: { bump } });
const all = [client, client.duplicate(), client.duplicate()];
for (const one of all) {
  one.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  await one.connect();
}
const [, subscriber, waiting] = all;
const seen = {};
const message = (type, n) => JSON.stringify({ message_type: type, n });
const until = async (condition) => {
  while (!condition()) await new Promise((done) => setTimeout(done, 2));
};

const heard = [];
await subscriber.subscribe(["prices", "orders"], (text, channel) => heard.push(`${channel} ${text}`));
await subscriber.pSubscribe("pri*", (text, channel) => heard.push(`pri* ${channel} ${text}`));
await client.publish("prices", message("market_data", 1));
await client.publish("orders", message("order_request", 2));
await until(() => heard.length === 3);
seen.heard = heard.sort();
await subscriber.unsubscribe();
await subscriber.pUnsubscribe();
seen.afterwards = await subscriber.set("md:plain", "again");

seen.script = [await client.bump("n", 2), await client.bump("md:n", 5)];
await client.scriptFlush();
seen.scriptAgain = [await client.bump("n", 2), await client.bump("md:n", 5)];
seen.scriptInside = await client.multi().bump("n", 1).get("n").exec();

await Promise.all(Array.from({ length: 300 }, (_, i) => client.set((i % 2 ? "md:scan:" : "scan:") + i, i)));
await client.sAdd("set", Array.from({ length: 700 }, (_, i) => String(i)));
const found = new Set();
for await (const keys of client.scanIterator({ MATCH: "*scan:*", COUNT: 50 })) keys.forEach((key) => found.add(key));
const members = new Set();
for await (const some of client.sScanIterator("set")) some.forEach((member) => members.add(member));
seen.scanned = [found.size, members.size];

const popped = waiting.brPop("md:jobs", 10);
await client.lPush("md:jobs", ["first", "second"]);
seen.popped = [await popped, await waiting.blMove("md:jobs", "md:done", "LEFT", "RIGHT", 10), await waiting.bzPopMin("none", 0.01)];

seen.group = await client.xGroupCreate("s", "g", "$", { MKSTREAM: true });
const tail = waiting.xRead({ key: "s", id: "$" }, { BLOCK: 10000 });
const ids = [];
// Until the reader has been there to see it.
const publishing = (async () => {
  while (ids.length < 20 || !seen.tail) {
    ids.push(await client.xAdd("s", "*", { message_type: ids.length % 2 ? "market_data" : "order_request", n: String(ids.length) }));
  }
})();
seen.tail = (await tail).map(({ name, messages }) => [name, messages.length > 0]);
await publishing;
const got = [];
while (got.length < ids.length) {
  const reply = await waiting.xReadGroup("g", "c", { key: "s", id: ">" }, { COUNT: 5, BLOCK: 10000 });
  got.push(...reply[0].messages);
}
seen.consumed = [got.every(({ id, message: { n } }) => ids[Number(n)] === id), new Set(got.map(({ id }) => id)).size === ids.length];
seen.pending = (await client.xPending("s", "g")).pending === ids.length;
seen.claimed = (await client.xAutoClaim("s", "g", "d", 0, "0-0", { COUNT: 1000 })).messages.length === ids.length;
seen.acknowledged = (await client.xAck("s", "g", ids)) === ids.length;
seen.empty = await waiting.xReadGroup("g", "c", { key: "s", id: ">" }, { BLOCK: 20 });
const { length, groups } = await client.xInfoStream("s");
seen.info = [length === ids.length, groups];

const pool = await createClientPool({ socket: { host: "127.0.0.1", port: Number(process.argv[2]) } }).connect();
seen.pool = await Promise.all(Array.from({ length: 20 }, (_, i) => pool.set("md:pool:" + i, i)));
seen.guarded = await pool.execute(async (one) => {
  await one.watch("md:pool:1");
  return one.multi().incr("md:pool:1").del("never").expire("md:pool:1", 100).exec();
});
pool.destroy();
await client.zAdd("z", [{ score: 1.5, value: "a" }, { score: 2, value: "b" }]);
seen.scores = await client.zRangeWithScores("z", 0, -1);
seen.error = await client.lPush("z", "x").catch((error) => error.message);

await Promise.all(all.map((one) => one.close()));
// The pool's timers would keep the process for seconds.
process.stdout.write(JSON.stringify(seen), () => process.exit());
