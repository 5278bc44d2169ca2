// A worker for Orchis in plain Node: the protocol of docs/protocol.md and no more.
//
//   import { handle, run } from "./orchis-worker.mjs";
//   handle("greet", async (job, { name = "world" }) => ({ text: `Hello ${name}!` }));
//   run();
//
// Settings come from the environment, as for the worker in Go. A handler gets job.signal, an
// AbortSignal: it fires when the work must stop.
import { createHash, randomUUID } from "node:crypto";
import net from "node:net";
import os from "node:os";
import tls from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";

export const handlers = new Map();
/** Change the version when the same inputs give another result: what the cache has is not used again then. */
export function handle(name, fn, description = "", version = "") { handlers.set(name, { fn, description, version: String(version) }); }

const LANES = [":high", "", ":low"];
const INLINE = 64 * 1024;
const MAX_LOG = 1 << 20, LINE_COSTS = 32; // bytes that are kept of an attempt's lines; what a line costs besides its text
const LINES_TTL = 7 * 24 * 3600;

/** An error with a code for retry rules. Permanent ones are not tried again. */
export class Failure extends Error {
  constructor(message, { code = "error", permanent = false, retryAfterMs = 0 } = {}) {
    super(message);
    Object.assign(this, { code, permanent, retryAfterMs });
  }
}

class ReplyError extends Error {}
class Gone extends Error {}

/** One connection; commands and replies in RESP2. */
export class Redis {
  constructor(url) { this.url = new URL(url); this.waiting = []; this.buffer = Buffer.alloc(0); }

  connect() {
    if (this.ready) return this.ready;
    const u = this.url;
    const at = u.protocol === "unix:" ? { path: u.pathname } : { host: u.hostname || "localhost", port: Number(u.port || 6379) };
    this.ready = new Promise((resolve, reject) => {
      const socket = (u.protocol === "rediss:" ? tls : net).connect({ ...at, servername: u.hostname });
      const lost = (err) => this.lost(socket, err, reject);
      socket.once(u.protocol === "rediss:" ? "secureConnect" : "connect", async () => {
        this.socket = socket;
        try {
          if (u.password) await this.send([["AUTH", ...(u.username ? [decodeURIComponent(u.username)] : []), decodeURIComponent(u.password)]]);
          if (u.protocol !== "unix:" && u.pathname.length > 1) await this.send([["SELECT", u.pathname.slice(1)]]);
          resolve();
        } catch (err) { reject(err); socket.destroy(); }
      });
      socket.on("data", (data) => { this.buffer = Buffer.concat([this.buffer, data]); this.drain(); });
      socket.on("error", lost);
      socket.on("close", () => lost(new Error("the connection was closed")));
    });
    this.ready.catch(() => { this.ready = undefined; });
    return this.ready;
  }

  lost(socket, err, reject) {
    reject(new Gone(err.message));
    if (this.socket && this.socket !== socket) return;
    this.socket = this.ready = undefined;
    this.buffer = Buffer.alloc(0);
    for (const w of this.waiting.splice(0)) w.reject(new Gone(err.message));
  }

  async call(...args) { return (await this.pipeline([args]))[0]; }

  /** Sends commands together. An error is thrown after all replies are there. */
  async pipeline(commands) {
    await this.connect();
    return this.send(commands);
  }

  async send(commands) {
    const parts = [];
    const replies = commands.map((args) => {
      parts.push(Buffer.from(`*${args.length}\r\n`));
      for (const a of args) {
        const b = Buffer.from(String(a));
        parts.push(Buffer.from(`$${b.length}\r\n`), b, Buffer.from("\r\n"));
      }
      return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    });
    this.socket.write(Buffer.concat(parts));
    const all = await Promise.all(replies);
    for (const r of all) if (r instanceof ReplyError) throw r;
    return all;
  }

  drain() {
    for (;;) {
      const got = parse(this.buffer, 0);
      if (!got) return;
      this.buffer = this.buffer.subarray(got.next);
      this.waiting.shift()?.resolve(got.value);
    }
  }
}

/** Reads one reply; nothing when it is not all there yet. */
function parse(buffer, at) {
  const end = buffer.indexOf("\r\n", at);
  if (end < 0) return undefined;
  const rest = buffer.toString("utf8", at + 1, end);
  switch (String.fromCharCode(buffer[at])) {
    case "+": return { value: rest, next: end + 2 };
    case "-": return { value: new ReplyError(rest), next: end + 2 };
    case ":": return { value: Number(rest), next: end + 2 };
    case "$": {
      const n = Number(rest);
      if (n < 0) return { value: null, next: end + 2 };
      if (buffer.length < end + 2 + n + 2) return undefined;
      return { value: buffer.toString("utf8", end + 2, end + 2 + n), next: end + 2 + n + 2 };
    }
    default: {
      const list = [];
      let next = end + 2;
      if (Number(rest) < 0) return { value: null, next };
      for (let i = 0; i < Number(rest); i++) {
        const item = parse(buffer, next);
        if (!item) return undefined;
        list.push(item.value);
        next = item.next;
      }
      return { value: list, next };
    }
  }
}

const mapOf = (flat) => Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));

// The keys of a ticket's JSON, see docs/protocol.md.
const keys = { r: "run", t: "task", f: "fence", h: "handler", n: "attempt", i: "inputs", ib: "inputsBlob", e: "env", s: "secrets",
  to: "timeout", hb: "heartbeat", c: "recipe", tr: "trace", at: "signed" };

/** Reads the fields of a ticket's stream entry; one that cannot be read has no version. */
function ticketOf(flat) {
  const fields = mapOf(flat);
  try {
    const long = Object.entries(JSON.parse(fields.ticket ?? "{}")).filter(([k]) => k in keys).map(([k, v]) => [keys[k], v]);
    return { ...Object.fromEntries(long), v: fields.v };
  } catch { return {}; }
}

const failed = (code, message, permanent = false, retryAfterMs = 0) =>
  ({ type: "failed", error: { code, message }, ...(permanent ? { permanent } : {}), ...(retryAfterMs ? { retryAfter: retryAfterMs } : {}) });

function milliseconds(text) {
  const m = /^([\d.]+)(ms|s|m|h)?$/.exec(text);
  return m ? Number(m[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[m[2] ?? "s"] : 0;
}

/** What a handler can ask and say. */
class Job {
  constructor(worker, stream, entry, ticket) {
    this.stop = new AbortController();
    Object.assign(this, { worker, stream, entry, ticket, run: ticket.run, task: ticket.task, attempt: ticket.attempt ?? 1 });
    this.idempotencyKey = `${ticket.run}/${ticket.task}`;
    this.env = ticket.env ?? {};
    this.trace = ticket.trace ?? "";
    this.signal = this.stop.signal;
    this.heard = performance.now();
    this.told = -Infinity;
    Object.assign(this, { lines: 0, kept: 0, sent: [] }); // lines so far, and those that are kept
    this.base = stream.slice(0, stream.indexOf("tickets:"));
  }

  /** What a program that the handler starts is to see: spawn(program, args, { env: job.environ() }). */
  environ() {
    const seen = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(ORCHIS|REDIS)_/.test(k)));
    delete seen.TRACEPARENT;
    return { ...seen, ORCHIS_RUN: this.run, ORCHIS_TASK: this.task, ORCHIS_ATTEMPT: String(this.attempt), ORCHIS_IDEMPOTENCY_KEY: this.idempotencyKey,
      ...(this.trace ? { TRACEPARENT: this.trace } : {}), ...this.env };
  }

  async progress(percent, note = "") {
    if (performance.now() - this.told < 1000) return;
    this.told = performance.now();
    await this.worker.tell(this, "progress", { progress: percent, note });
  }

  async log(...words) {
    const key = `${this.base}run:${this.run}:lines:${this.task}`, text = words.join(" ");
    const size = Buffer.byteLength(text) + LINE_COSTS, drop = this.room(size), mine = { size };
    this.sent.push(mine);
    this.kept += size;
    const [entry] = await this.worker.redis.pipeline([
      ["XADD", key, "MAXLEN", "~", 50000, "*", "attempt", this.attempt, "source", "log", "text", text, "at", Date.now(), "n", ++this.lines],
      ["EXPIRE", key, LINES_TTL], ...(drop.length ? [["XDEL", key, ...drop]] : [])]).catch(() => []); // a lost line shows by its number
    mine.entry = entry;
  }

  /** The oldest entries of lines, which must go so that the new one is kept. */
  room(size) {
    const drop = [];
    while (this.sent.length && this.kept + size > MAX_LOG) {
      const old = this.sent.shift();
      this.kept -= old.size;
      if (old.entry) drop.push(old.entry);
    }
    return drop;
  }
}

export class Worker {
  constructor(env = process.env) {
    this.url = env.REDIS_URL || "redis://localhost:6379";
    this.prefix = env.ORCHIS_PREFIX || "orchis";
    this.queues = (env.ORCHIS_QUEUES || "default").split(",");
    this.slots = Number(env.ORCHIS_SLOTS || 0) || os.cpus().length;
    this.lease = milliseconds(env.ORCHIS_LEASE || "10s");
    this.grace = milliseconds(env.ORCHIS_GRACE || "20s");
    this.name = env.ORCHIS_WORKER_NAME || `${os.hostname()}-${randomUUID().slice(0, 8)}`;
    this.redis = new Redis(this.url);
    this.hand = new Set();
    this.paused = new Set();
    this.started = Date.now();
  }

  base(p) { return `${this.prefix}:{${p}}:`; }
  streams(p, queues) { return LANES.flatMap((lane) => queues.map((q) => `${this.base(p)}tickets:${q}${lane}`)); }

  async main() {
    for (const s of ["SIGTERM", "SIGINT"]) process.on(s, () => { this.draining = true; });
    const n = Number(await this.patiently(() => this.redis.call("HGET", `${this.prefix}:meta`, "partitions")) || 1);
    const partitions = Array.from({ length: n }, (_, p) => p);
    for (const p of partitions) await this.patiently(() => this.begin(p));
    for (const [does, every] of [[() => this.beat(), this.lease / 3], [() => this.register(), 3000], [() => this.lookForPauses(), 1000]]) this.upkeep(does, every);
    await Promise.all(partitions.map((p) => this.read(p)));
    await this.finish();
    process.exit(0);
  }

  /** Does a thing again until Redis lets it be done. */
  async patiently(does) {
    for (let wait = 50; ; wait = Math.min(2000, wait * 2)) {
      try { return await does(); } catch (err) {
        if (err instanceof ReplyError && /^(NOAUTH|WRONGPASS|NOPERM|WRONGTYPE)/.test(err.message)) { console.error(`orchis worker: ${err.message}`); process.exit(1); }
        if (!(err instanceof Gone || err instanceof ReplyError)) throw err;
        await sleep(wait);
      }
    }
  }

  async upkeep(does, every) {
    for (;;) {
      await does().catch(() => {}); // it is done again
      await sleep(every, undefined, { ref: false });
    }
  }

  /** Makes the groups, and hands back what a worker of this name held when it died. */
  async begin(p) {
    for (const stream of this.streams(p, this.queues)) {
      await this.redis.call("XGROUP", "CREATE", stream, "workers", "0", "MKSTREAM").catch((err) => { if (!err.message.startsWith("BUSYGROUP")) throw err; });
      for (const [, entries] of await this.redis.call("XREADGROUP", "GROUP", "workers", this.name, "STREAMS", stream, "0") ?? [])
        for (const [entry, flat] of entries) if (flat) await this.end(new Job(this, stream, entry, ticketOf(flat)), { type: "lost" });
    }
  }

  async read(p) {
    const conn = new Redis(this.url);
    while (!this.draining) {
      const queues = this.queues.filter((q) => !this.paused.has(q));
      if (this.hand.size >= this.slots || queues.length === 0) { await sleep(20); continue; }
      try { await this.take(conn, p, queues); } catch (err) {
        if (err instanceof ReplyError && err.message.startsWith("NOGROUP")) await this.patiently(() => this.begin(p));
        await sleep(200);
      }
    }
  }

  /** Takes one ticket, of the high lane first; waits half a second when there is none. */
  async take(conn, p, queues) {
    const streams = this.streams(p, queues);
    for (const stream of streams)
      if (this.work(await conn.call("XREADGROUP", "GROUP", "workers", this.name, "COUNT", 1, "STREAMS", stream, ">"))) return;
    this.work(await conn.call("XREADGROUP", "GROUP", "workers", this.name, "COUNT", 1, "BLOCK", 500, "STREAMS", ...streams, ...streams.map(() => ">")));
  }

  work(reply) {
    let some = false;
    for (const [stream, entries] of reply ?? []) for (const [entry, flat] of entries) if (flat) {
      const job = new Job(this, stream, entry, ticketOf(flat));
      some = true;
      this.hand.add(job);
      this.perform(job).then((report) => report && this.patiently(() => this.end(job, report))).finally(() => this.hand.delete(job));
    }
    return some;
  }

  /** Runs the handler and returns what to report; nothing when there is nothing to say. */
  async perform(job) {
    const t = job.ticket;
    if (t.v !== "2") return this.bury(job, "the version of the ticket is not known");
    const known = handlers.get(t.handler);
    if (!known) return { type: "released", error: { code: "handler", message: `${this.name} has no handler ${t.handler}` } };
    job.started = Date.now();
    const timers = [setTimeout(() => this.tell(job, "started"), 200)];
    if (t.timeout) timers.push(setTimeout(() => job.stop.abort("timeout"), t.timeout));
    const stopped = new Promise((resolve) => job.signal.addEventListener("abort", () => resolve(job), { once: true }));
    try {
      const inputs = await this.inputs(job);
      if (inputs === undefined) return this.bury(job, "the inputs are gone");
      const result = await Promise.race([known.fn(job, inputs), stopped]);
      return job.signal.aborted ? this.interrupted(job) : await this.succeeded(job, result);
    } catch (err) {
      if (job.signal.aborted) return this.interrupted(job);
      return err instanceof Failure ? failed(err.code, err.message, err.permanent, err.retryAfterMs) : failed("error", String(err?.message ?? err));
    } finally { timers.forEach(clearTimeout); }
  }

  async inputs(job) {
    let inputs = job.ticket.inputs ?? {};
    if (job.ticket.inputsBlob) {
      const text = await this.patiently(() => this.redis.call("GET", `${job.base}blob:${job.ticket.inputsBlob}`));
      if (text === null) return undefined;
      inputs = JSON.parse(text);
    }
    const whole = { inputs, env: job.env };
    for (const s of job.ticket.secrets ?? []) {
      let at = whole;
      for (const key of s.at.slice(0, -1)) at = at[key];
      at[s.at.at(-1)] = s.parts.map((part) => {
        if (!part.secret) return part.text ?? "";
        const value = process.env[`ORCHIS_SECRET_${part.secret}`];
        if (value === undefined) throw new Failure(`the worker does not have the secret ${part.secret}`, { code: "secret", permanent: true });
        return value;
      }).join("");
    }
    return whole.inputs;
  }

  interrupted(job) {
    if (job.signal.reason === "timeout") return failed("timeout", "the attempt took longer than its timeout");
    return job.signal.reason === "drain" ? { type: "released" } : undefined; // else it is somebody else's now
  }

  async succeeded(job, result) {
    const text = JSON.stringify(result ?? null);
    const made = handlers.get(job.ticket.handler)?.version;
    const done = { type: "succeeded", ...(made ? { handlerVersion: made } : {}) };
    if (Buffer.byteLength(text) <= INLINE) return { ...done, result: result ?? null };
    const digest = createHash("sha256").update(text).digest("hex");
    const key = `${job.base}blob:${digest}`;
    if (await this.patiently(() => this.redis.call("SET", key, text, "NX", "EX", 604800)) === null) await this.patiently(() => this.redis.call("EXPIRE", key, 604800, "GT"));
    return { ...done, resultBlob: digest };
  }

  /** The command that adds an event of an attempt, in an entry of its own. */
  report(job, what) {
    const event = { run: job.run, task: job.task, fence: job.ticket.fence, at: Date.now(), ...what,
      ...(job.started ? { started: job.started } : {}), ...(job.lines ? { lines: true } : {}) };
    return ["XADD", `${job.base}events`, "*", "v", 2, "worker", this.name, "events", JSON.stringify([event])];
  }

  /** Reports the end and deletes the ticket, in one transaction. */
  end(job, report) {
    return this.redis.pipeline([["MULTI"], this.report(job, report),
      ["XACK", job.stream, "workers", job.entry], ["XDEL", job.stream, job.entry], ["EXEC"]]);
  }

  async bury(job, reason) {
    await this.patiently(() => this.redis.pipeline([["MULTI"], ["XADD", `${job.base}dead`, "*", "run", job.run ?? "", "task", job.task ?? "",
      "error", JSON.stringify({ code: "internal", message: reason }), "at", Date.now()], ["XACK", job.stream, "workers", job.entry], ["XDEL", job.stream, job.entry], ["EXEC"]]));
  }

  tell(job, kind, more = {}) {
    return this.redis.call(...this.report(job, { type: kind, ...more })).catch(() => {});
  }

  /** Says that the tickets are still in work; those that do not come back are not ours. */
  async beat() {
    const streams = new Map();
    for (const job of this.hand) {
      if (performance.now() - job.heard > this.lease * 0.8 - this.lease / 3) job.stop.abort("lost");
      streams.set(job.stream, [...(streams.get(job.stream) ?? []), job]);
    }
    for (const [stream, jobs] of streams) {
      const sent = performance.now();
      const kept = new Set(await this.redis.call("XCLAIM", stream, "workers", this.name, 0, ...jobs.map((j) => j.entry), "JUSTID"));
      for (const job of jobs) if (kept.has(job.entry)) job.heard = sent; else job.stop.abort("lost");
    }
  }

  async register() {
    const [s, us] = await this.redis.call("TIME");
    const entry = { name: this.name, host: os.hostname(), pid: process.pid, version: "node", slots: this.slots, busy: this.hand.size, queues: this.queues,
      handlers: [...handlers].map(([name, h]) => ({ name, description: h.description, version: h.version })), started: this.started,
      seen: Number(s) * 1000 + Math.floor(Number(us) / 1000), draining: Boolean(this.draining), paused: [...this.paused] };
    await this.redis.call("HSET", `${this.prefix}:workers`, this.name, JSON.stringify(entry));
  }

  async lookForPauses() { this.paused = new Set(Object.keys(mapOf(await this.redis.call("HGETALL", `${this.prefix}:paused`)))); }

  /** Lets what is in hand end within the grace, and hands back the rest. */
  async finish() {
    for (let until = performance.now() + this.grace; this.hand.size > 0 && performance.now() < until;) await sleep(20);
    for (const job of this.hand) job.stop.abort("drain");
    for (let until = performance.now() + 5000; this.hand.size > 0 && performance.now() < until;) await sleep(20);
    await this.redis.call("HDEL", `${this.prefix}:workers`, this.name).catch(() => {});
  }
}

export const run = () => new Worker().main();
