/** Bytes that pass from one isolate to another. */
import assert from "node:assert/strict";
import {
  type RingMemory,
  ringMemory,
  RingReader,
  RingWriter,
} from "../../../../lib/host/threads/mod.ts";

const SIZE = 5_000;
const BYTES = Uint8Array.from({ length: SIZE }, (_, i) => i * 31 + (i >> 8));

/** Who waits for memory alone does not keep the runtime from ending. */
function stayAwake(): Disposable {
  const timer = setInterval(() => {}, 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function write(memory: RingMemory, piece: number): Promise<void> {
  const writer = new RingWriter(memory);
  for (let at = 0; at < SIZE; at += piece) {
    assert.ok(await writer.write(BYTES.subarray(at, at + piece)));
  }
  writer.end();
}

async function read(memory: RingMemory, piece: number): Promise<number[]> {
  const reader = new RingReader(memory);
  const all: number[] = [];
  for (;;) {
    const count = await reader.come();
    if (typeof count !== "number") {
      assert.equal(count, "ended");
      return all;
    }
    const into = new Uint8Array(Math.min(count, piece));
    reader.take(into);
    all.push(...into);
  }
}

Deno.test("whatever is written comes, in pieces of any size and through a ring of any", async () => {
  using _awake = stayAwake();
  for (const capacity of [1, 16, 1024]) {
    for (const written of [1, 7, 1024, SIZE]) {
      for (const taken of [1, 5, 512, 1024]) {
        const memory = ringMemory(capacity);
        const [found] = await Promise.all([
          read(memory, taken),
          write(memory, written),
        ]);
        assert.deepEqual(
          Uint8Array.from(found),
          BYTES,
          `${capacity} ${written} ${taken}`,
        );
      }
    }
  }
});

Deno.test("a writer that is faster is woken once for half a ring, not for each piece that is taken", async () => {
  using _awake = stayAwake();
  const { notify } = Atomics;
  let bells = 0;
  Atomics.notify = ((...args: Parameters<typeof notify>) => {
    bells++;
    return notify(...args);
  }) as typeof notify;
  try {
    const memory = ringMemory(1024);
    const writing = write(memory, SIZE);
    const found = await read(memory, 8);
    await writing;
    assert.equal(found.length, SIZE);
  } finally {
    Atomics.notify = notify;
  }
  // Those of the writer, too: once for each half of a ring, and at the end.
  assert.ok(bells <= 2 * Math.ceil(SIZE / 512) + 2, `${bells} bells`);
});
