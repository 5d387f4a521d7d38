// A publisher and reader as ioredis makes them with its default settings. Prints what it saw as JSON.
//   node ioredis.mjs PORT LIBRARY
const { default: Redis } = await import(process.argv[3]);

const client = new Redis(Number(process.argv[2]));
client.on("error", (error) => {
  console.error(error);
  process.exit(1);
});

const messages = Array.from({ length: 400 }, (_, number) => [number % 2 ? "market_data" : "order_request", String(number)]);
const ids = await Promise.all(
  messages.map(([type, number]) => client.xadd("s", "MAXLEN", "~", 100000, "*", "message_type", type, "n", number)));

const range = await client.xrange("s", "-", "+");
await client.mset({ "md:a": "1", b: "ä☃" });
await client.hset("h", { field: "value", other: "2" });
const pipelined = await client.pipeline().incr("n").incr("md:n").mget("md:a", "b").lpush("md:h", "x").hget("md:h", "f").exec();
const transaction = await client.multi().xadd("t", "*", "message_type", "market_data").xadd("t", "*", "message_type", "order_request")
  .set("md:t", "1").mget("md:t", "none").hget("h", "field").lpush("h", "x").xlen("t").exec();
await client.watch("md:t");
await client.set("md:t", "2");
const changed = await client.multi().set("md:t", "3").exec();

console.log(JSON.stringify({
  ids,
  length: await client.xlen("s"),
  range,
  reversed: (await client.xrevrange("s", "+", "-", "COUNT", 3)).map(([id]) => id),
  deleted: await client.xdel("s", ids[0], ids[1]),
  mget: await client.mget("md:a", "b", "none"),
  hash: await client.hgetall("h"),
  buffer: (await client.getBuffer("b")).toString("hex"),
  exists: await client.exists("md:a", "b", "s", "never"),
  transaction: transaction.map(([error, value]) => (error ? error.message : value)),
  changed,
  pipelined: pipelined.map(([error, value]) => (error ? error.message : value)),
  info: /redis_mode:standalone/.test(await client.info()),
}));
await client.quit();
