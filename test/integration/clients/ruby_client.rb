# The uses of ruby-redis, with its default settings. Prints what it saw as JSON, nothing of which may differ between
# servers.
#   ruby ruby_client.rb PORT
require "json"
require "redis"

client = Redis.new(port: Integer(ARGV[0]))
other = client.dup
seen = {}

seen["strings"] = [client.set("md:k", "ä☃"), client.setex("k", 100, 1), client.mget("md:k", "k", "none"), client.incrby("k", 41),
                   client.getset("k", 1), client.set("k", 2, nx: true), client.ttl("k").between?(-1, 100)]
client.mapped_hmset("h", { "field" => "value", "other" => 2 })
client.zadd("z", [[1.5, "a"], [2, "b"]])
client.sadd("set", %w[a b c])
seen["types"] = [client.hgetall("h"), client.zrange("z", 0, -1, with_scores: true), client.smembers("set").sort, client.type("z"),
                 client.exists("md:k", "h", "none"), client.del("set", "none"), client.object(:encoding, "k")]
seen["scan"] = [(1..200).each { |n| client.set("#{n.even? ? 'md:' : ''}scan:#{n}", n) }.size,
                client.scan_each(match: "*scan:*").to_a.uniq.size]

seen["pipelined"] = client.pipelined do |pipeline|
  pipeline.incr("md:n")
  pipeline.incr("n")
  pipeline.mget("md:n", "n")
  pipeline.xlen("s")
end
seen["multi"] = client.multi do |transaction|
  transaction.set("md:t", 1)
  transaction.set("t", 1)
  transaction.mget("md:t", "t")
  transaction.del("t", "none")
end
seen["watched"] = client.watch("md:t") do
  client.multi { |transaction| transaction.incr("md:t") }
end
seen["changed"] = client.watch("md:t") do
  other.set("md:t", 9)
  client.multi { |transaction| transaction.incr("md:t") }
end
seen["script"] = [client.eval("return {KEYS[1], ARGV[1]}", ["md:k"], [1]), client.evalsha(client.script(:load, "return ARGV[1]"), ["k"], ["x"])]
begin
  client.evalsha("0" * 40)
rescue Redis::CommandError => error
  seen["noscript"] = error.message
end
begin
  client.lpush("k", 1)
rescue Redis::CommandError => error
  seen["error"] = error.message
end

ids = (0...20).map { |n| client.xadd("s", { message_type: n.even? ? "market_data" : "order_request", n: n }, maxlen: 1000, approximate: true) }
client.xgroup(:create, "s", "g", "0")
read = []
read.concat(client.xreadgroup("g", "c", "s", ">", count: 7, block: 1000)["s"]) while read.size < ids.size
seen["stream"] = [client.xlen("s"), client.xrange("s").map { |id, _| id }.sort == ids.sort, client.xrevrange("s", count: 1).size,
                  read.all? { |id, fields| ids[Integer(fields["n"])] == id }, client.xpending("s", "g")["size"],
                  client.xautoclaim("s", "g", "d", 0, "0-0")["entries"].size, client.xack("s", "g", *ids), client.xdel("s", ids[0]),
                  client.xinfo(:stream, "s")["groups"], client.xreadgroup("g", "c", "s", ">", block: 20)]
waiting = Thread.new { other.xread("s", "$", block: 10_000) }
client.xadd("s", { message_type: "market_data" }) && sleep(0.005) while waiting.alive?
seen["waited"] = waiting.value.keys

waiting = Thread.new { other.brpop("md:list", timeout: 10) }
client.rpush("md:list", "popped")
seen["popped"] = [waiting.value, other.blpop("none", timeout: 0.05), other.brpoplpush("none", "none", timeout: 0.05)]

heard = []
listener = Thread.new do
  other.subscribe("prices", "orders") do |on|
    on.subscribe { |channel, count| heard << [channel, count] }
    on.message do |channel, message|
      heard << [channel, message]
      other.unsubscribe if heard.size == 4
    end
  end
end
Thread.pass until heard.size == 2
client.publish("prices", { message_type: "market_data" }.to_json)
client.publish("orders", { message_type: "order_request" }.to_json)
listener.join(10)
seen["heard"] = heard.sort_by(&:to_s)
seen["server"] = [client.ping, client.echo("x"), client.info.fetch("redis_mode"), client.config(:get, "maxclients").keys,
                  client.dbsize.positive?, client.client(:list).size >= 2, client.time.size]
puts seen.to_json
client.close
other.close
