// Queues of BullMQ with their workers: Lua, streams and blocking calls. Prints what became of the jobs as JSON.
//   node bullmq.mjs PORT PREFIX
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";

const connection = { port: Number(process.argv[2]) };
const options = { connection, prefix: process.argv[3] };
const queue = new Queue("work", options);
const events = new QueueEvents("work", options);
const flow = new FlowProducer(options);
const tried = new Map();
const done = [];
const perform = async (job) => {
  tried.set(job.name, (tried.get(job.name) ?? 0) + 1);
  if (job.name === "second-time" && job.attemptsMade === 0) throw new Error("the first time");
  if (job.name === "never") throw new Error("wanted");
  if (job.name === "parent") return Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0);
  await job.updateProgress(50);
  done.push(job.name);
  return job.data.n * 2;
};
const workers = [new Worker("work", perform, { ...options, concurrency: 5 }), new Worker("children", perform, options)];
const all = [queue, events, flow, ...workers];
for (const one of all) {
  one.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
}
await Promise.all([events, ...workers].map((one) => one.waitUntilReady()));

const seen = {};
const result = (job) => job.waitUntilFinished(events, 20000).catch((error) => error.message);
const jobs = await queue.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: "double", data: { n } })));
seen.results = await Promise.all(jobs.map(result));
seen.delayed = await result(await queue.add("delayed", { n: 21 }, { delay: 150 }));
seen.retried = [await result(await queue.add("second-time", { n: 1 }, { attempts: 3, backoff: 20 })), tried.get("second-time")];
seen.failed = [await result(await queue.add("never", {}, { attempts: 2 })), tried.get("never")];

const tree = await flow.add({ name: "parent", queueName: "work", children: [1, 2, 3].map((n) => ({ name: "child", queueName: "children", data: { n } })) });
seen.parent = await result(tree.job);

await queue.upsertJobScheduler("tick", { every: 50, limit: 3 }, { name: "ticked", data: { n: 0 } });
while (done.filter((name) => name === "ticked").length < 3) await new Promise((ready) => setTimeout(ready, 10));
seen.schedulerGone = await queue.removeJobScheduler("tick");

await workers[0].pause();
const order = await Promise.all([3, 1, 2].map((priority) => queue.add("priority-" + priority, { n: 0 }, { priority })));
await queue.add("removed", { n: 0 }, { jobId: "to-remove" });
seen.removed = await queue.remove("to-remove");
seen.waiting = (await queue.getJobCounts("prioritized")).prioritized;
workers[0].concurrency = 1;
workers[0].resume();
await Promise.all(order.map(result));
seen.order = done.filter((name) => name.startsWith("priority"));

const { completed, failed, active, wait } = await queue.getJobCounts("completed", "failed", "active", "wait");
seen.counts = { failed, active, wait: wait ?? 0, completed: completed > 25 };
seen.progress = (await queue.getJob(jobs[0].id)).progress;
seen.cleaned = (await queue.clean(0, 1000, "failed")).length;
await Promise.all(workers.map((worker) => worker.close()));
await queue.obliterate();
seen.left = await queue.count();
console.log(JSON.stringify(seen));
await Promise.all([queue, events, flow].map((one) => one.close()));
