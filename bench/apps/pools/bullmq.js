// BullMQ on Redis.
//
// node bullmq.js worker PORT
// node bullmq.js drive PORT SECONDS LOOPS     prints what drive.js does
//
// Tasks are added as BullMQ likes it best: fifty at once, a thousand on their way, workers that take sixteen each.
const { Queue, QueueEvents, Worker } = require('bullmq');
const Redis = require('ioredis');
const { once } = require('node:events');
const task = require('./worker_piscina');

const CONCURRENCY = 16;
const BULK = 50;
const WAITING_MAX = 1000;
const WARM_SECONDS = 0.5;
const LONE_TASKS = 100;
const QUEUE = 'work';

const [role, port, seconds, loops] = process.argv.slice(2);
const connect = () => new Redis({ host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null });

function work() {
  const run = async (job) => task(job.data.loops);
  new Worker(QUEUE, run, { connection: connect(), concurrency: CONCURRENCY });
}

async function flood(queue, events, turns, duration) {
  const begun = performance.now();
  let added = 0;
  let done = 0;
  let wake = () => {};
  const completed = () => {
    done++;
    wake();
  };
  events.on('completed', completed);
  while (performance.now() - begun < duration * 1000) {
    if (added - done > WAITING_MAX) {
      await new Promise((resolve) => (wake = resolve));
      continue;
    }
    const bulk = Array.from({ length: BULK }, () => ({ name: 'task', data: { loops: turns } }));
    // Counted first: the events of the first ones may come before the answer to their addition.
    added += BULK;
    await queue.addBulk(bulk);
  }
  while (done < added) await new Promise((resolve) => (wake = resolve));
  events.off('completed', completed);
  return (done / (performance.now() - begun)) * 1000;
}

async function alone(queue, events) {
  const times = [];
  for (let i = 0; i < LONE_TASKS; i++) {
    const started = performance.now();
    const completed = once(events, 'completed');
    await queue.add('task', { loops: 0 });
    await completed;
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[LONE_TASKS >> 1] * 1000;
}

async function drive() {
  const queue = new Queue(QUEUE, { connection: connect(), defaultJobOptions: { removeOnComplete: true } });
  const events = new QueueEvents(QUEUE, { connection: connect(), lastEventId: '0-0' });
  await events.waitUntilReady();
  await flood(queue, events, 0, WARM_SECONDS);
  const lone_us = await alone(queue, events);
  const noop_per_s = await flood(queue, events, 0, Number(seconds));
  const cpu_per_s = await flood(queue, events, Number(loops), Number(seconds));
  console.log(JSON.stringify({ noop_per_s, cpu_per_s, lone_us }));
  process.exit(0);
}

if (role === 'worker') work();
else drive();
