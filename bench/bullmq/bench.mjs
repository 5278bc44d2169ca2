// BullMQ doing chains of no-ops: node bench.mjs PORT FLOWS JOBS. The worker is a
// process of its own. Prints the jobs per second.
import { fork } from 'node:child_process';
import { FlowProducer, Worker } from 'bullmq';

const [port, flows, jobs] = process.argv.slice(2, 5).map(Number);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const payload = 'x'.repeat(100);

async function work() {
  let done = 0;
  const worker = new Worker('q', async () => ({ ok: true }), { connection, concurrency: 50 });
  worker.on('completed', () => {
    done++;
    if (done === flows * jobs) process.send({ end: Date.now() }, () => process.exit(0));
  });
  await worker.waitUntilReady();
  process.send({ ready: true });
}

// chain is the last job of a chain; its child comes before it.
function chain(n) {
  const job = { name: `job_${n}`, queueName: 'q', data: { payload } };
  return n > 1 ? { ...job, children: [chain(n - 1)] } : job;
}

async function submit() {
  const worker = fork(process.argv[1], [...process.argv.slice(2, 5), 'work']);
  const told = (what) => new Promise((resolve) => worker.on('message', (m) => m[what] && resolve(m[what])));
  const end = told('end');
  await told('ready');
  const producer = new FlowProducer({ connection });
  const began = Date.now();
  for (let sent = 0; sent < flows; sent += 50) {
    await producer.addBulk(Array.from({ length: Math.min(50, flows - sent) }, () => chain(jobs)));
  }
  console.log((flows * jobs * 1000) / ((await end) - began));
  process.exit(0);
}

await (process.argv[5] === 'work' ? work() : submit());
