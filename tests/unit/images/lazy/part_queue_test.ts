/** Which part of which layer is asked for next, and that everybody's turn comes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  PartQueue,
  type Queued,
  type QueuedLayer,
  type QueueLimits,
  type WantedPart,
} from "../../../../lib/images/lazy/part_queue.ts";

const MIB = 2 ** 20;
const PART = 4 * MIB;
const LIMITS: QueueLimits = {
  requests: 32,
  requestsPerImage: 16,
  requestsPerHost: 24,
  inFlightBytes: 6 * PART,
  placeBytes: 10 * PART,
  aheadBytes: 4 * PART,
  workersPerImage: 2,
  hangsAfterMs: 50,
};

/** A layer whose parts come when the test says so. */
class Layer implements QueuedLayer {
  readonly requester;
  readonly sizeBytes: number;
  isActive = false;
  readRate = 0;
  asked = 0;
  read = 0;
  lost = 0;
  readonly coming: (() => void)[] = [];
  readonly places: (Disposable | null)[] = [];
  readonly queued: Queued;

  constructor(
    queue: PartQueue,
    readonly name: string,
    readonly parts: number,
    { image = "a", isFiled = false, isActive = false, log = [] }: {
      readonly image?: string;
      readonly isFiled?: boolean;
      readonly isActive?: boolean;
      readonly log?: string[];
    } = {},
  ) {
    this.requester = { image, host: image };
    this.sizeBytes = parts * PART;
    this.isActive = isActive;
    this.#isFiled = isFiled;
    this.#log = log;
    this.queued = queue.join(this);
  }
  readonly #isFiled: boolean;
  readonly #log: string[];

  get unaskedBytes(): number {
    return (this.parts - this.asked) * PART;
  }
  get unreadBytes(): number {
    return (this.parts - this.read) * PART;
  }
  next(): WantedPart | null {
    if (this.asked === this.parts) return null;
    const isFirst = this.asked === this.read;
    return { bytes: PART, isFiled: this.#isFiled, isFirst };
  }
  begin(
    _: WantedPart,
    place: Disposable | null,
    lost: AbortSignal,
  ): Promise<void> {
    this.asked++;
    lost.addEventListener("abort", () => {
      this.asked--;
      this.lost++;
      place?.[Symbol.dispose]();
      resolve();
    });
    this.#log.push(place === null ? `${this.name} to a file` : this.name);
    this.places.push(place);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.coming.push(resolve);
    return promise;
  }
  activate(): void {
    this.isActive = true;
    this.queued.changed();
  }
  /** All that was asked for comes. @param bytes that count: the line is as fast as that. */
  come(bytes = 1000 * PART): void {
    for (const one of this.coming.splice(0)) {
      this.queued.came(bytes);
      one();
    }
  }
  readOne(): void {
    this.places[this.read++]?.[Symbol.dispose]();
    this.queued.changed();
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("layers that a Worker reads come first, side by side; what waits has what they leave, in its turn", async () => {
  const queue = new PartQueue(LIMITS);
  const log: string[] = [];
  new Layer(queue, "waits", 3, { log });
  new Layer(queue, "waits longer", 2, { log });
  new Layer(queue, "read", 2, { isActive: true, log });
  new Layer(queue, "read too", 2, { isActive: true, log });
  await settled();
  assert.deepEqual(log.slice(0, 4).sort(), [
    ...["read", "read", "read too", "read too"],
  ]);
  assert.deepEqual(log.slice(4), ["waits", "waits"]); // six parts in flight
});

Deno.test("layers without a Worker have a part of the memory only, and one that gets a Worker has the rest", async () => {
  const queue = new PartQueue(LIMITS);
  const log: string[] = [];
  const first = new Layer(queue, "first", 20, { log });
  const second = new Layer(queue, "second", 9, { log });
  for (let i = 0; i < 5; i++) {
    await settled();
    first.come();
    second.come();
  }
  assert.deepEqual(log, ["first", "first", "first", "first"]);
  first.activate();
  for (let i = 0; i < 5; i++) {
    await settled();
    first.come();
    second.come();
  }
  assert.equal(queue.placeBytes, LIMITS.placeBytes);
  assert.equal(log.filter((name) => name === "second").length, 0);
});

Deno.test("where Workers are the slower ones nothing goes into a file, and the first missing part has a place in any case", async () => {
  const queue = new PartQueue(LIMITS);
  const log: string[] = [];
  const layer = new Layer(queue, "read", 40, { isActive: true, log });
  layer.readRate = 1;
  for (let i = 0; i < 20; i++) {
    await settled();
    layer.come();
  }
  assert.deepEqual(log, Array(10).fill("read"));
  // Another one of the image has no room at all.
  const other = new Layer(queue, "other", 3, { isActive: true, log });
  await settled();
  assert.deepEqual(log.slice(10), ["other"]);
  other.come();
  await settled();
  assert.deepEqual(log.slice(10), ["other"]);
  other.readOne();
  await settled();
  assert.deepEqual(log.slice(10), ["other", "other"]);
});

Deno.test("where the line is the slower one it does not rest: what has no place goes into a file", async () => {
  const queue = new PartQueue(LIMITS);
  const log: string[] = [];
  const layer = new Layer(queue, "slow to inflate", 12, {
    isActive: true,
    log,
  });
  layer.readRate = MIB; // the rest is read before the line gives a byte
  new Layer(queue, "waits", 9, { log });
  for (let i = 0; i < 8; i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    layer.come(1);
  }
  assert.ok(log.includes("slow to inflate to a file"), `${log}`);
});

Deno.test("images that hang keep no other one out: it has a part at once, and their room when nothing comes of them for long", async () => {
  const queue = new PartQueue({ ...LIMITS, requests: 9 });
  const hanging: Layer[] = [];
  for (const image of ["a", "b"]) {
    hanging.push(new Layer(queue, image, 30, { image, isActive: true }));
    await settled();
  }
  const [a, b] = hanging.map(({ asked }) => asked);
  assert.deepEqual([a, b], [6, 2]);
  const well = new Layer(queue, "c", 30, { image: "c", isActive: true });
  await settled();
  assert.equal(well.asked, 1);
  // All requests are taken now.
  const late = new Layer(queue, "d", 3, { image: "d", isActive: true });
  const until = performance.now() + 10_000;
  while (late.asked < 3 || well.asked < 10) {
    assert.ok(performance.now() < until, `${late.asked}, ${well.asked}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (const one of [well, late]) {
      one.come();
      if (one.read < one.asked) one.readOne();
    }
  }
  assert.deepEqual(hanging.map(({ asked }) => asked), [1, 1]);
  // Who comes to life has its turn again.
  hanging[0]!.coming[0]!();
  hanging[0]!.queued.came(1);
  for (const one of [well, late]) one.queued[Symbol.dispose]();
  await settled();
  assert.ok(hanging[0]!.asked > 2, `${hanging[0]!.asked}`);
});

Deno.test("an image whose requests end one after the other does not hang, although nobody tells of their bytes", async () => {
  const queue = new PartQueue({ ...LIMITS, requests: 4 });
  const untold = new Layer(queue, "a", 1000, { image: "a", isFiled: true });
  await settled();
  new Layer(queue, "b", 30, { image: "b", isActive: true });
  const until = performance.now() + 4 * LIMITS.hangsAfterMs;
  while (performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    untold.coming.shift()?.();
    queue.join(untold)[Symbol.dispose](); // it looks again
  }
  assert.equal(untold.lost, 0);
});

Deno.test("whatever is asked for in whichever order, it comes: nobody waits for a place for good", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          image: fc.constantFrom("a", "b", "c"),
          parts: fc.integer({ min: 1, max: 30 }),
          isFiled: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      fc.integer({ min: 1, max: 3 }),
      fc.infiniteStream(fc.nat(100)),
      async (layers, workers, random) => {
        const next = () => random.next().value as number;
        const queue = new PartQueue(LIMITS);
        const all = layers.map(({ image, parts, isFiled }, at) =>
          new Layer(queue, `${at}`, parts, { image, isFiled })
        );
        const left = new Set(all);
        for (let steps = 0; left.size > 0; steps++) {
          assert.ok(steps < 20_000, "somebody waits for good");
          const active = [...left].filter(({ isActive }) => isActive);
          if (active.length < workers) {
            const waiting = [...left].filter(({ isActive }) => !isActive);
            waiting[next() % Math.max(1, waiting.length)]?.activate();
          }
          await null;
          await null;
          const mostBytes = LIMITS.placeBytes * 1.5 + workers * PART;
          assert.ok(queue.placeBytes <= mostBytes, `${queue.placeBytes}`);
          assert.ok(queue.requests <= LIMITS.requests);
          for (const layer of left) {
            if (next() % 3 === 0) layer.come();
            const isHere = layer.read < layer.asked - layer.coming.length;
            if (layer.isActive && isHere && next() % 2 === 0) layer.readOne();
            const isLeft = layer.coming.length === 0 && next() === 0;
            if (layer.read < layer.parts && !isLeft) continue;
            // All of it is read, or it was given up.
            for (const place of layer.places) place?.[Symbol.dispose]();
            layer.queued[Symbol.dispose]();
            left.delete(layer);
          }
        }
        await settled();
        assert.equal(queue.placeBytes, 0);
        assert.equal(queue.requests, 0);
      },
    ),
    { numRuns: 60 },
  );
});
