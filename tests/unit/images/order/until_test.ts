import assert from "node:assert/strict";
import { LogWatch, untilReady } from "../../../../lib/images/order/until.ts";

const never = new AbortController().signal;
const still = () => Promise.resolve({ reads: 0, lost: 0, lastMs: null });
const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a line of output that matches is a sign, also one that comes in pieces or has no end", async () => {
  for (
    const pieces of [["noise\nlis", "tening on 1\n"], ["noise\n", "listening"]]
  ) {
    const log = new LogWatch(/^listening/);
    const passed: string[] = [];
    const ready = untilReady({ log: /^listening/ }, still, log, never);
    await log.read(
      ReadableStream.from(pieces.map(bytes)),
      (piece) => passed.push(new TextDecoder().decode(piece)),
    );
    assert.match(await ready, /^output: listening/);
    assert.deepEqual(passed, pieces, "what it prints is passed on");
  }
});

Deno.test("a workload is idle only after it has read", async () => {
  let asked = 0;
  const progress = () => {
    // Nothing read at first, then the last read lies an hour back.
    const lastMs = ++asked < 3 ? null : performance.timeOrigin - 3_600_000;
    return Promise.resolve({ reads: asked, lost: 0, lastMs });
  };
  const log = new LogWatch(undefined);
  const sign = await untilReady({ idleMs: 60_000 }, progress, log, never);
  assert.match(sign, /nothing read for 60000 ms/);
  assert.equal(asked, 3);
});

Deno.test("a port that answers and an address that does are signs", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: ({ port }) => resolve(port) },
    () => new Response(null, { status: 404 }),
  );
  const port = await promise;
  const log = new LogWatch(undefined);
  assert.equal(
    await untilReady({ port }, still, log, never),
    `port ${port} answers`,
  );
  const url = `http://127.0.0.1:${port}/`;
  assert.equal(await untilReady({ url }, still, log, never), `${url} answers`);
  void server;
});

Deno.test("the first sign ends the wait, and so does an abort", async () => {
  const log = new LogWatch(undefined);
  const signs = { idleMs: 3_600_000, forMs: 1 };
  assert.equal(await untilReady(signs, still, log, never), "1 ms have passed");
  const abort = new AbortController();
  const waiting = untilReady({ idleMs: 3_600_000 }, still, log, abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});
