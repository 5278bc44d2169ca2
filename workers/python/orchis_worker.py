"""A worker for Orchis in plain Python: the protocol of docs/protocol.md and no more.

    from orchis_worker import handler, run

    @handler("greet")
    def greet(job, name="world"):
        job.log("greeting", name)
        return {"text": f"Hello {name}!"}

    run()

Settings come from the environment, as for the worker in Go: REDIS_URL, ORCHIS_PREFIX,
ORCHIS_QUEUES, ORCHIS_SLOTS, ORCHIS_LEASE, ORCHIS_GRACE, ORCHIS_WORKER_NAME, ORCHIS_SECRET_*.
A job runs in a thread. It must look at job.stopped now and then, or wait with job.wait:
nothing else can stop a thread.
"""
import hashlib
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import uuid
from urllib.parse import unquote, urlparse

HANDLERS, VERSIONS = {}, {}
LANES = (":high", "", ":low")
INLINE = 64 * 1024
MAX_LOG, LINE_COSTS = 1 << 20, 32  # bytes that are kept of an attempt's lines; what a line costs besides its text
LINES_TTL = 7 * 24 * 3600


def handler(name, version=""):
    """Registers a function as the handler of a name. It gets the job and its inputs as keywords.
    Change the version when the same inputs give another result: what the cache has is not used again then."""
    def put(fn):
        HANDLERS[name], VERSIONS[name] = fn, str(version)
        return fn
    return put


class Failure(Exception):
    """An error with a code for retry rules. Permanent ones are not tried again."""

    def __init__(self, message, code="error", permanent=False, retry_after_ms=0):
        super().__init__(message)
        self.code, self.permanent, self.retry_after_ms = code, permanent, retry_after_ms


class Gone(Exception):
    """The connection to Redis broke."""


class ReplyError(Exception):
    """Redis answered with an error."""


class Redis:
    """One connection; commands and replies in RESP2."""

    def __init__(self, url):
        self.url, self.sock = urlparse(url), None

    def connect(self):
        u = self.url
        if u.scheme == "unix":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(u.path)
        else:
            self.sock = socket.create_connection((u.hostname or "localhost", u.port or 6379), timeout=10)
            if u.scheme == "rediss":
                self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=u.hostname)
        self.sock.settimeout(15)
        self.file = self.sock.makefile("rb")
        if u.password:
            self.call("AUTH", *([unquote(u.username)] if u.username else []), unquote(u.password))
        if u.scheme != "unix" and u.path.strip("/"):
            self.call("SELECT", u.path.strip("/"))

    def call(self, *args):
        return self.pipeline([args])[0]

    def pipeline(self, commands):
        """Sends commands together. An error is raised after all replies are read."""
        try:
            if self.sock is None:
                self.connect()
            out = []
            for args in commands:
                out.append(b"*%d\r\n" % len(args))
                for a in args:
                    a = a if isinstance(a, bytes) else str(a).encode()
                    out.append(b"$%d\r\n%s\r\n" % (len(a), a))
            self.sock.sendall(b"".join(out))
            replies = [self.reply() for _ in commands]
        except OSError as err:
            self.close()
            raise Gone(str(err)) from err
        for r in replies:
            if isinstance(r, ReplyError):
                raise r
        return replies

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2]
        n = int(rest)
        return None if n < 0 else [self.reply() for _ in range(n)]

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None


# The keys of a ticket's JSON, see docs/protocol.md.
KEYS = {"r": "run", "t": "task", "f": "fence", "h": "handler", "n": "attempt", "i": "inputs", "ib": "inputsBlob", "e": "env", "s": "secrets",
        "to": "timeout", "hb": "heartbeat", "c": "recipe", "tr": "trace", "at": "signed"}


def ticket_of(flat):
    """Reads the fields of a ticket's stream entry; one that cannot be read has no version."""
    fields = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
    try:
        short = json.loads(fields.get("ticket") or "{}")
        return {"v": fields.get("v"), **{KEYS[k]: v for k, v in short.items() if k in KEYS}}
    except (ValueError, AttributeError):
        return {}


class Job:
    """What a handler can ask and say."""

    def __init__(self, worker, stream, entry, ticket):
        self._worker, self._stream, self._entry, self.ticket = worker, stream, entry, ticket
        self.run, self.task, self.attempt = ticket.get("run", ""), ticket.get("task", ""), ticket.get("attempt", 1)
        self.idempotency_key = f"{self.run}/{self.task}"
        self.env = ticket.get("env") or {}
        self.trace = ticket.get("trace", "")
        self._stop, self.why = threading.Event(), ""
        self.heard, self.started, self.told, self._said = time.monotonic(), 0, False, 0.0
        self.lines, self._kept, self._sent, self._writing = 0, 0, [], threading.Lock()  # lines so far, and those that are kept

    @property
    def stopped(self):
        return self._stop.is_set()

    def environ(self):
        """What a program that the handler starts is to see: subprocess.run(..., env=job.environ())."""
        seen = {k: v for k, v in os.environ.items() if not k.startswith(("ORCHIS_", "REDIS_"))}
        seen.update(ORCHIS_RUN=self.run, ORCHIS_TASK=self.task, ORCHIS_ATTEMPT=str(self.attempt), ORCHIS_IDEMPOTENCY_KEY=self.idempotency_key)
        seen.pop("TRACEPARENT", None)
        if self.trace:
            seen["TRACEPARENT"] = self.trace
        return {**seen, **self.env}

    def wait(self, seconds):
        """Sleeps, unless the job is to stop; says whether it slept to the end."""
        return not self._stop.wait(seconds)

    def stop(self, why):
        if not self._stop.is_set():
            self.why = why
            self._stop.set()

    def progress(self, percent, note=""):
        if time.monotonic() - self._said >= 1:
            self._said = time.monotonic()
            self._worker.tell(self, "progress", progress=percent, note=note)

    def log(self, *words):
        with self._writing:
            self.lines += 1
            self._worker.line(self, " ".join(str(w) for w in words))

    def room(self, size):
        """The oldest entries of lines, which must go so that the new one is kept."""
        drop = []
        while self._sent and self._kept + size > MAX_LOG:
            entry, gone = self._sent.pop(0)
            self._kept -= gone
            drop.append(entry)
        return drop


class Worker:
    def __init__(self):
        env = os.environ.get
        self.url, self.prefix = env("REDIS_URL", "redis://localhost:6379"), env("ORCHIS_PREFIX", "orchis")
        self.queues = env("ORCHIS_QUEUES", "default").split(",")
        self.slots = int(env("ORCHIS_SLOTS") or 0) or os.cpu_count() or 1
        self.lease, self.grace = seconds(env("ORCHIS_LEASE", "10s")), seconds(env("ORCHIS_GRACE", "20s"))
        self.name = env("ORCHIS_WORKER_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.started, self.draining, self.paused = now_ms(), threading.Event(), set()
        self.hand, self.lock, self.free = set(), threading.Lock(), threading.Semaphore(self.slots)
        self.say, self.said = Redis(self.url), threading.Lock()  # everything but reading

    def command(self, *args):
        with self.said:
            return self.say.call(*args)

    def base(self, p):
        return f"{self.prefix}:{{{p}}}:"

    # -- life ---------------------------------------------------------------

    def main(self):
        # A handler of signals must take no lock, which an Event does.
        asked = []
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda *_: asked.append(True))
        self.partitions = int(self.patiently(lambda: self.command("HGET", f"{self.prefix}:meta", "partitions")) or 1)
        for p in range(self.partitions):
            self.patiently(lambda p=p: self.begin(p))
        threads = [threading.Thread(target=self.upkeep, args=(self.beat, self.lease / 3), daemon=True),
                   threading.Thread(target=self.upkeep, args=(self.register, 3), daemon=True),
                   threading.Thread(target=self.upkeep, args=(self.look_for_pauses, 1), daemon=True)]
        readers = [threading.Thread(target=self.read, args=(p,), daemon=True) for p in range(self.partitions)]
        for t in threads + readers:
            t.start()
        while not asked:
            time.sleep(0.1)
        self.draining.set()
        for t in readers:
            t.join()
        self.finish()

    def patiently(self, do):
        """Does a thing again until Redis lets it be done."""
        pause = 0.05
        while True:
            try:
                return do()
            except (Gone, ReplyError) as err:
                if isinstance(err, ReplyError) and str(err).split(" ")[0] in ("NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE"):
                    sys.exit(f"orchis worker: {err}")
                if self.draining.is_set() and pause > 1:
                    raise
                time.sleep(pause)
                pause = min(2, pause * 2)

    def begin(self, p):
        """Makes the groups, and hands back what a worker of this name held when it died."""
        for stream in self.streams(p, self.queues):
            try:
                self.command("XGROUP", "CREATE", stream, "workers", "0", "MKSTREAM")
            except ReplyError as err:
                if not str(err).startswith("BUSYGROUP"):
                    raise
            reply = self.command("XREADGROUP", "GROUP", "workers", self.name, "STREAMS", stream, "0") or []
            for _, entries in reply:
                for entry, flat in entries:
                    if flat is not None:
                        self.end(Job(self, stream, entry.decode(), ticket_of(flat)), {"type": "lost"})

    def streams(self, p, queues):
        return [f"{self.base(p)}tickets:{q}{lane}" for lane in LANES for q in queues]

    def upkeep(self, do, every):
        while True:
            try:
                do()
            except (Gone, ReplyError):
                pass  # it is done again
            time.sleep(every)

    def finish(self):
        """Lets what is in hand end within the grace, and hands back the rest."""
        until = time.monotonic() + self.grace
        while self.hand and time.monotonic() < until:
            time.sleep(0.02)
        for job in list(self.hand):
            job.stop("drain")
        until = time.monotonic() + 5
        while self.hand and time.monotonic() < until:
            time.sleep(0.02)
        try:
            self.command("HDEL", f"{self.prefix}:workers", self.name)
        except (Gone, ReplyError):
            pass

    # -- tickets ------------------------------------------------------------

    def read(self, p):
        conn = Redis(self.url)
        while not self.draining.is_set():
            if not self.free.acquire(timeout=0.2):
                continue
            got = False
            try:
                queues = [q for q in self.queues if q not in self.paused]
                got = bool(queues) and self.take(conn, p, queues)
            except Gone:
                time.sleep(0.2)
            except ReplyError as err:
                if str(err).startswith("NOGROUP"):
                    self.patiently(lambda: self.begin(p))
                time.sleep(0.2)
            if not got:
                self.free.release()
                if not queues:
                    time.sleep(0.2)

    def take(self, conn, p, queues):
        """Takes one ticket, of the high lane first; waits a second when there is none."""
        streams = self.streams(p, queues)
        for stream in streams:
            if self.begin_first(conn.call("XREADGROUP", "GROUP", "workers", self.name, "COUNT", 1, "STREAMS", stream, ">")):
                return True
        # Waiting may bring one ticket of each stream; what there is no slot for waits its turn.
        return self.begin_first(conn.call("XREADGROUP", "GROUP", "workers", self.name, "COUNT", 1, "BLOCK", 500,
                                          "STREAMS", *streams, *[">"] * len(streams)))

    def begin_first(self, reply):
        jobs = [Job(self, stream.decode(), entry.decode(), ticket_of(flat))
                for stream, entries in reply or [] for entry, flat in entries if flat is not None]
        for n, job in enumerate(jobs):
            with self.lock:
                self.hand.add(job)
            threading.Thread(target=self.work, args=(job, n == 0), daemon=True).start()
        return bool(jobs)

    def work(self, job, has_slot):
        if not has_slot:
            self.free.acquire()
        try:
            report = self.perform(job)
            if report is not None:
                self.patiently(lambda: self.end(job, report))
        finally:
            self.free.release()
            with self.lock:
                self.hand.discard(job)

    def perform(self, job):
        """Runs the handler and returns what to report; None when there is nothing to say."""
        t = job.ticket
        if t.get("v") != "2":
            return self.bury(job, "the version of the ticket is not known")
        if "handler" not in t or t["handler"] not in HANDLERS:
            return {"type": "released", "error": {"code": "handler", "message": f"{self.name} has no handler {t.get('handler')}"}}
        if job.stopped:
            return self.interrupted(job)
        job.started = now_ms()
        timers = [threading.Timer(0.2, lambda: self.started_late(job))]
        if t.get("timeout"):
            timers.append(threading.Timer(t["timeout"] / 1000, lambda: job.stop("timeout")))
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            inputs = self.inputs(job)
            if inputs is None:
                return self.bury(job, "the inputs are gone")
            result = HANDLERS[t["handler"]](job, **inputs)
            return self.interrupted(job) if job.stopped else self.succeeded(job, result)
        except Failure as err:
            return self.interrupted(job) if job.stopped else failed(err.code, str(err), err.permanent, err.retry_after_ms)
        except TypeError as err:
            return failed("badInput", str(err), True)
        except Exception as err:  # a handler may raise anything
            return self.interrupted(job) if job.stopped else failed("error", f"{type(err).__name__}: {err}")
        finally:
            for timer in timers:
                timer.cancel()

    def inputs(self, job):
        inputs = job.ticket.get("inputs", {})
        if job.ticket.get("inputsBlob"):
            p = job._stream.split("{", 1)[1].split("}", 1)[0]
            raw = self.patiently(lambda: self.command("GET", f"{self.base(p)}blob:{job.ticket['inputsBlob']}"))
            if raw is None:
                return None
            inputs = json.loads(raw)
        whole = {"inputs": inputs, "env": job.env}
        for s in job.ticket.get("secrets") or []:
            at = whole
            for key in s["at"][:-1]:
                at = at[key]
            parts = []
            for part in s["parts"]:
                if "secret" in part:
                    value = os.environ.get("ORCHIS_SECRET_" + part["secret"])
                    if value is None:
                        raise Failure(f"the worker does not have the secret {part['secret']}", "secret", permanent=True)
                    parts.append(value)
                else:
                    parts.append(part.get("text", ""))
            at[s["at"][-1]] = "".join(parts)
        return whole["inputs"]

    def interrupted(self, job):
        if job.why == "timeout":
            return failed("timeout", "the attempt took longer than its timeout")
        if job.why == "drain":
            return {"type": "released"}
        return None  # it is somebody else's now

    def succeeded(self, job, result):
        text = json.dumps(result, ensure_ascii=False)
        made = VERSIONS.get(job.ticket["handler"], "")
        done = {"type": "succeeded", **({"handlerVersion": made} if made else {})}
        if len(text.encode()) <= INLINE:
            return {**done, "result": result}
        digest = hashlib.sha256(text.encode()).hexdigest()
        p = job._stream.split("{", 1)[1].split("}", 1)[0]
        key = f"{self.base(p)}blob:{digest}"
        if self.patiently(lambda: self.command("SET", key, text, "NX", "EX", 604800)) is None:
            self.patiently(lambda: self.command("EXPIRE", key, 604800, "GT"))
        return {**done, "resultBlob": digest}

    def events(self, job):
        return job._stream.split("tickets:", 1)[0] + "events"

    def report(self, job, what):
        """The command that adds an event of an attempt, in an entry of its own."""
        event = {"run": job.run, "task": job.task, "fence": job.ticket.get("fence", ""), "at": now_ms(), **what}
        if job.started:
            event["started"] = job.started
        if job.lines:
            event["lines"] = True
        return ("XADD", self.events(job), "*", "v", 2, "worker", self.name, "events", json.dumps([event], ensure_ascii=False))

    def end(self, job, report):
        """Reports the end and deletes the ticket, in one transaction."""
        with self.said:
            self.say.pipeline([("MULTI",), self.report(job, report),
                               ("XACK", job._stream, "workers", job._entry), ("XDEL", job._stream, job._entry), ("EXEC",)])

    def bury(self, job, reason):
        def do():
            with self.said:
                self.say.pipeline([("MULTI",), ("XADD", self.events(job).replace("events", "dead"), "*", "run", job.ticket.get("run", ""),
                                                "task", job.ticket.get("task", ""), "error", json.dumps({"code": "internal", "message": reason}), "at", now_ms()),
                                   ("XACK", job._stream, "workers", job._entry), ("XDEL", job._stream, job._entry), ("EXEC",)])
        self.patiently(do)

    def tell(self, job, kind, **more):
        try:
            self.command(*self.report(job, {"type": kind, **more}))
        except (Gone, ReplyError):
            pass

    def started_late(self, job):
        self.tell(job, "started")

    def line(self, job, text):
        key = job._stream.split("tickets:", 1)[0] + f"run:{job.run}:lines:{job.task}"
        size = len(text.encode()) + LINE_COSTS
        drop = job.room(size)
        try:
            with self.said:
                entry = self.say.pipeline([("XADD", key, "MAXLEN", "~", 50000, "*", "attempt", job.attempt, "source", "log", "text", text, "at", now_ms(), "n", job.lines),
                                           ("EXPIRE", key, LINES_TTL), *([("XDEL", key, *drop)] if drop else [])])[0]
        except (Gone, ReplyError):
            return  # the line is lost, which its number shows
        job._sent.append((entry.decode(), size))
        job._kept += size

    # -- upkeep -------------------------------------------------------------

    def beat(self):
        """Says that the tickets are still in work; those that do not come back are not ours."""
        streams = {}
        for job in list(self.hand):
            if time.monotonic() - job.heard > self.lease * 0.8 - self.lease / 3:
                job.stop("lost")
            streams.setdefault(job._stream, []).append(job)
        for stream, jobs in streams.items():
            sent = time.monotonic()
            kept = self.command("XCLAIM", stream, "workers", self.name, 0, *[j._entry for j in jobs], "JUSTID")
            kept = {k.decode() for k in kept}
            for job in jobs:
                if job._entry in kept:
                    job.heard = sent
                else:
                    job.stop("lost")

    def register(self):
        s, us = self.command("TIME")
        entry = {"name": self.name, "host": socket.gethostname(), "pid": os.getpid(), "version": "python", "slots": self.slots,
                 "busy": len(self.hand), "queues": self.queues, "handlers": [{"name": n, "description": (f.__doc__ or "").strip(), "version": VERSIONS.get(n, "")} for n, f in HANDLERS.items()],
                 "started": self.started, "seen": int(s) * 1000 + int(us) // 1000, "draining": self.draining.is_set(), "paused": sorted(self.paused)}
        self.command("HSET", f"{self.prefix}:workers", self.name, json.dumps(entry))

    def look_for_pauses(self):
        flat = self.command("HGETALL", f"{self.prefix}:paused")
        self.paused = {flat[i].decode() for i in range(0, len(flat), 2)}


def failed(code, message, permanent=False, retry_after_ms=0):
    out = {"type": "failed", "error": {"code": code, "message": message}}
    return {**out, **({"permanent": True} if permanent else {}), **({"retryAfter": retry_after_ms} if retry_after_ms else {})}


def now_ms():
    return int(time.time() * 1000)


def seconds(text):
    for unit, size in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)):
        if text.endswith(unit) and text[:-len(unit)].replace(".", "").isdigit():
            return float(text[:-len(unit)]) * size
    return float(text)


def run():
    """Works until SIGTERM, then finishes what it holds within the grace."""
    Worker().main()
