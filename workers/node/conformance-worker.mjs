// The handlers that `orchis conformance -- node workers/node/conformance-worker.mjs` wants.
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, handle, run } from "./orchis-worker.mjs";

handle("conformance.echo", async (job, inputs) => inputs, "Returns its inputs.", "1");
handle("conformance.fail", async (job, { code, message, permanent, retryAfter }) => {
  throw new Failure(message, { code, permanent, retryAfterMs: retryAfter });
}, "Fails as it is told.");
handle("conformance.sleep", async (job, { ms = 0 }) => {
  await sleep(ms, undefined, { signal: job.signal });
  return { slept: ms };
}, "Takes its time.");
handle("conformance.large", async (job, { size = 0 }) => ({ text: "x".repeat(size) }), "Returns a large text.");

run();
