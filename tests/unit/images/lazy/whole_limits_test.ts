/** How much of layers that are taken whole is done at a time. */
import assert from "node:assert/strict";
import {
  FAST_LIMITS,
  MAX_CHUNK_BYTES,
  unpackWorkers,
  WholeGates,
} from "../../../../lib/images/lazy/whole_limits.ts";

const MIB = 2 ** 20;
const REQUESTER = { image: "a", host: "registry.example" };

/** How many requests of one image run at a time. */
async function atOnce(chunkBytes: number): Promise<number> {
  const gates = new WholeGates({ ...FAST_LIMITS, chunkBytes });
  const end = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  const all = Array.from(
    { length: 32 },
    () =>
      gates.request(REQUESTER, chunkBytes, async () => {
        most = Math.max(most, ++running);
        await end.promise;
        running--;
      }),
  );
  for (let turns = 0; turns < 50; turns++) await Promise.resolve();
  end.resolve();
  await Promise.all(all);
  return most;
}

Deno.test("requests of an image hold some 24 MiB, and four run at a time however large they are", async () => {
  assert.equal(await atOnce(FAST_LIMITS.chunkBytes), 6);
  assert.equal(await atOnce(MIB), FAST_LIMITS.downloadsPerImage);
  assert.equal(await atOnce(MAX_CHUNK_BYTES), 4);
});

Deno.test("four layers at most are inflated at a time, unless the configuration says how many", () => {
  assert.ok(unpackWorkers(FAST_LIMITS) <= 4);
  assert.equal(unpackWorkers({ ...FAST_LIMITS, unpacks: 1 }), 1);
});

Deno.test("a host gets 24 requests at a time from all images together, and another host the rest", async () => {
  const gates = new WholeGates(FAST_LIMITS);
  const end = Promise.withResolvers<void>();
  const running = new Map<string, number>();
  const all: Promise<void>[] = [];
  for (const host of ["one", "two"]) {
    for (let at = 0; at < 60; at++) {
      all.push(
        gates.request({ image: `${host} ${at % 4}`, host }, 1000, async () => {
          running.set(host, (running.get(host) ?? 0) + 1);
          await end.promise;
        }),
      );
    }
    for (let turns = 0; turns < 100; turns++) await Promise.resolve();
  }
  assert.deepEqual([...running], [["one", 24], ["two", 8]]);
  end.resolve();
  await Promise.all(all);
});

Deno.test("large requests that wait for memory, of images whose registries hang, keep no other one out, small or large", async () => {
  const gates = new WholeGates(FAST_LIMITS);
  const { promise: never } = Promise.withResolvers<void>();
  for (const image of ["a", "b"]) {
    for (let i = 0; i < FAST_LIMITS.downloadsPerImage; i++) {
      gates.request(
        { image, host: image },
        FAST_LIMITS.chunkBytes,
        () => never,
      );
    }
  }
  const done: number[] = [];
  for (const bytes of [MIB, FAST_LIMITS.chunkBytes]) {
    gates.request({ image: `c ${bytes}`, host: "c" }, bytes, () => never);
    gates.request(
      { image: `d ${bytes}`, host: "d" },
      bytes,
      () => Promise.resolve(done.push(bytes)),
    );
  }
  for (let turns = 0; turns < 100; turns++) await Promise.resolve();
  assert.deepEqual(done, [MIB, FAST_LIMITS.chunkBytes]);
});

Deno.test("a request of which bytes come does not hang however long it takes; those of which none come lose their turn to other images, and run once more", async () => {
  const gates = new WholeGates(FAST_LIMITS, 200);
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const lost = { comes: 0, hangs: 0 };
  const all: Promise<unknown>[] = [];
  for (const image of ["comes", "hangs"] as const) {
    for (let i = 0; i < FAST_LIMITS.downloadsPerImage; i++) {
      all.push(
        gates.request({ image, host: image }, MIB, async (turn) => {
          const timer = setInterval(
            () => image === "comes" && turn.came(1),
            20,
          );
          const left = Promise.withResolvers<never>();
          turn.lost.addEventListener("abort", () => {
            lost[image]++;
            left.reject(turn.lost.reason);
          });
          await Promise.race([over, left.promise])
            .finally(() => clearInterval(timer));
        }),
      );
    }
  }
  const others = Array.from(
    { length: 12 },
    () => gates.request({ image: "c", host: "c" }, 4 * MIB, () => over),
  );
  const until = performance.now() + 10_000;
  while (lost.hangs === 0) {
    assert.ok(performance.now() < until, "nothing is taken from what hangs");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(lost.comes, 0);
  end();
  await Promise.all([...all, ...others]);
});
