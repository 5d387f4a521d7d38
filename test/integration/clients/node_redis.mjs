// A publisher and reader as node-redis makes them. Prints what it saw as JSON.
//   node node_redis.mjs PORT LIBRARY PROTOCOL, 0 for the default one
const { createClient } = await import(process.argv[3]);

const [port, protocol] = [process.argv[2], process.argv[4]].map(Number);
const client = createClient({ socket: { host: "127.0.0.1", port }, ...(protocol ? { RESP: protocol } : {}) });
client.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
await client.connect();

const messages = Array.from({ length: 400 }, (_, number) => ({ message_type: number % 2 ? "market_data" : "order_request", n: String(number) }));
const ids = await Promise.all(messages.map((message) =>
  client.xAdd("s", "*", message, { TRIM: { strategy: "MAXLEN", strategyModifier: "~", threshold: 100000 } })));

const range = await client.xRange("s", "-", "+");
await client.mSet({ "md:a": "1", b: "ä☃" });
await client.hSet("h", { field: "value", other: "2" });
await client.zAdd("z", [{ score: 1.5, value: "x" }]);
const transaction = await client.multi().xAdd("t", "*", { message_type: "market_data" }).xAdd("t", "*", { message_type: "order_request" })
  .set("md:t", "1").mGet(["md:t", "none"]).hGet("h", "field").lPush("h", "x").xLen("t").exec().catch((error) => error.replies);
await client.watch("md:t");
await client.set("md:t", "2");
const changed = await client.multi().set("md:t", "3").exec().then(() => "carried out", (error) => error.constructor.name);

console.log(JSON.stringify({
  ids,
  length: await client.xLen("s"),
  range: range.map(({ id, message }) => [id, Object.entries(message).flat()]),
  reversed: (await client.xRevRange("s", "+", "-", { COUNT: 3 })).map(({ id }) => id),
  deleted: await client.xDel("s", [ids[0], ids[1]]),
  mget: await client.mGet(["md:a", "b", "none"]),
  hash: await client.hGetAll("h"),
  score: await client.zScore("z", "x"),
  exists: await client.exists(["md:a", "b", "s", "never"]),
  transaction: transaction.map((value) => (value instanceof Error ? value.message : value)),
  changed,
  ping: await client.ping(),
  info: /redis_mode:standalone/.test(await client.info()),
  clientId: await client.clientId(),
}));
await client.close();
