import assert from "node:assert/strict";
import { Arrivals } from "../../../../lib/images/lazy/arrivals.ts";

const MIB = 2 ** 20;

/** Asks for so many pieces of a MiB; how many are on their way, and what ends the first of them. */
function asking(
  arrivals: Arrivals,
  host: string,
  roundTripMs: number,
  count: number,
) {
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const done = Array.from(
    { length: count },
    (_, number) =>
      arrivals.fetch({ host, repository: "a", roundTripMs, bytes: MIB }, () => {
        started.push(number);
        return new Promise<void>((resolve) => ends.push(resolve));
      }),
  );
  return { started, end: () => ends.shift()?.(), done: Promise.all(done) };
}

const turns = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("near by one large ztoc is on its way at a time, far away as many as come in a round trip", async () => {
  const arrivals = new Arrivals();
  const near = asking(arrivals, "near", 1, 3);
  const far = asking(arrivals, "far", 100, 10);
  await turns();
  assert.deepEqual(near.started, [0]);
  // 100 ms at 50 MB/s.
  assert.deepEqual(far.started, [0, 1, 2, 3]);
});

Deno.test("ztocs are asked for in order, the next when one has come, until all have", async () => {
  const arrivals = new Arrivals();
  const asked = asking(arrivals, "near", 25, 5);
  await turns();
  assert.deepEqual(asked.started, [0]);
  for (const started of [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]) {
    asked.end();
    await turns();
    assert.deepEqual(asked.started, started);
  }
  asked.end();
  await asked.done;
});

Deno.test("a registry that gives nothing holds up no other", async () => {
  const arrivals = new Arrivals();
  const dead = asking(arrivals, "dead", 1, 2);
  const alive = asking(arrivals, "alive", 1, 1);
  await turns();
  assert.deepEqual(dead.started, [0]);
  assert.deepEqual(alive.started, [0]);
  alive.end();
  await alive.done;
});

Deno.test("a ztoc that cannot be had makes room like any other", async () => {
  const arrivals = new Arrivals();
  const what = {
    host: "near",
    repository: "a",
    roundTripMs: 1,
    bytes: 100 * MIB,
  };
  await assert.rejects(
    arrivals.fetch(what, () => Promise.reject(new Error("gone"))),
    /gone/,
  );
  assert.equal(await arrivals.fetch(what, () => Promise.resolve(1)), 1);
});

Deno.test("a repository that gives nothing holds up no other of its registry", async () => {
  const arrivals = new Arrivals();
  const started: string[] = [];
  const ask = (repository: string, until: Promise<void>) =>
    arrivals.fetch(
      { host: "shared", repository, roundTripMs: 1, bytes: MIB },
      () => {
        started.push(repository);
        return until;
      },
    );
  ask("hung", new Promise<void>(() => {}));
  ask("hung", new Promise<void>(() => {}));
  await ask("well", Promise.resolve());
  assert.deepEqual(started, ["hung", "well"]);
});

Deno.test("a registry that says it takes long is not asked for more than half a second's worth", async () => {
  const arrivals = new Arrivals();
  const asked = asking(arrivals, "liar", 1e9, 100);
  await turns();
  assert.ok(asked.started.length < 30, `${asked.started.length} MiB`);
});
