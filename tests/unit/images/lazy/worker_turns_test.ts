import assert from "node:assert/strict";
import { WorkerTurns } from "../../../../lib/images/lazy/worker_turns.ts";

const MIB = 2 ** 20;

/** Layers that come one by one, each for `ms` in a Worker. @returns in which order they got one, and how many ran. */
async function order(
  turns: WorkerTurns,
  layers: readonly (readonly [image: string, sizeBytes: number])[],
): Promise<{ begun: string[]; most: number; mostOfOne: number }> {
  const begun: string[] = [];
  const running = new Map<string, number>();
  let all = 0;
  let most = 0;
  let mostOfOne = 0;
  await Promise.all(layers.map(async ([image, sizeBytes]) => {
    await turns.run({ image, sizeBytes }, async () => {
      begun.push(`${image} ${sizeBytes / MIB}`);
      running.set(image, (running.get(image) ?? 0) + 1);
      most = Math.max(most, ++all);
      mostOfOne = Math.max(mostOfOne, running.get(image)!);
      for (let i = 0; i < 3; i++) await Promise.resolve();
      all--;
      running.set(image, running.get(image)! - 1);
    });
  }));
  return { begun, most, mostOfOne };
}

Deno.test("small layers get a Worker first, then the largest, whichever came first", async () => {
  const layers = [5, 30, 0.5, 20, 1, 30].map((size) =>
    ["a", size * MIB] as const
  );
  const { begun } = await order(new WorkerTurns(1, Infinity), layers);
  assert.deepEqual(begun, ["a 1", "a 0.5", "a 30", "a 30", "a 20", "a 5"]);
});

Deno.test("images share the Workers, and none has more than it may", async () => {
  const of = (image: string) =>
    [40, 30, 20, 10].map((size) => [image, size * MIB] as const);
  const turns = new WorkerTurns(2, Infinity);
  const { begun, most } = await order(turns, [...of("a"), ...of("b")]);
  assert.deepEqual(begun.slice(0, 2), ["a 40", "b 40"]);
  assert.equal(most, 2);
  const { mostOfOne } = await order(new WorkerTurns(4, 1), of("a"));
  assert.equal(mostOfOne, 1);
});

Deno.test("a Worker whose layer failed is another's", async () => {
  const turns = new WorkerTurns(1, 1);
  const layer = { image: "a", sizeBytes: 1 };
  const failed = turns.run(layer, () => Promise.reject(new Error("damaged")));
  const after = turns.run(layer, () => Promise.resolve("done"));
  await assert.rejects(failed, /damaged/);
  assert.equal(await after, "done");
});

Deno.test("a layer of which nothing comes holds no Worker for another image, and its own image has no further one", async () => {
  const turns = new WorkerTurns(1, Infinity);
  const { promise: never } = Promise.withResolvers<void>();
  let hangs = false;
  const hanging = { image: "a", sizeBytes: 1, hangs: () => hangs };
  turns.run(hanging, () => never);
  const begun: string[] = [];
  const others = ["a", "b"].map((image) =>
    turns.run({ image, sizeBytes: 1 }, () => Promise.resolve(begun.push(image)))
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(begun, []);
  hangs = true;
  const alive = setInterval(() => {}, 100);
  await others[1];
  clearInterval(alive);
  assert.deepEqual(begun, ["b"]);
  hangs = false; // it goes on
  turns.run({ image: "b", sizeBytes: 1 }, () => never);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(begun, ["b"]);
});
