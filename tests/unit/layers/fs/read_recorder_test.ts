import assert from "node:assert/strict";
import {
  ReadTrace,
  SharedMemory,
} from "../../../../lib/layers/fs/shared/mod.ts";
import { ReadRecorder } from "../../../../lib/layers/fs/read_recorder.ts";

function setUp() {
  const shared = new SharedMemory({
    layers: 8,
    spans: 64,
    ranges: 8,
    ringItems: 16,
    workers: 1,
  });
  for (const slot of [1, 2, 3]) shared.slots.add(slot, slot * 4, 3);
  const exact: number[][] = [];
  const recorder = new ReadRecorder(
    shared,
    {
      readExactly: (slots) => exact.push([...slots].sort()),
      dataBytes: () => 600,
    },
  );
  // As a Worker sees it: another view of the same memory.
  const worker = new ReadTrace(shared.buffers().trace);
  const isMarked = (slot: number) =>
    worker.marks[shared.slots.find(slot)] === 1;
  const read = (slot: number, offset: number) => {
    if (isMarked(slot)) worker.add(slot, offset, 4096, ReadTrace.now(), 0);
  };
  return { shared, recorder, worker, exact, isMarked, read };
}

const OPTIONS = { pages: "with read-ahead", maxReads: 100 } as const;

Deno.test("a recording gets the reads of its layers while it runs, and no others", () => {
  const { recorder, read, isMarked } = setUp();
  read(1, 0);
  {
    using one = recorder.begin(new Set([1, 9]), OPTIONS);
    read(1, 4096);
    using both = recorder.begin(new Set([1, 2]), OPTIONS);
    read(2, 2 ** 33);
    read(3, 0);
    read(1, 8192);
    recorder.waited(2, 512, 100, ReadTrace.now() - 50);
    recorder.waited(3, 512, 100, ReadTrace.now() - 50);
    const seen = (reads: ReturnType<typeof one.reads>) =>
      reads.map(({ slot, offset }) => `${slot}:${offset}`);
    assert.deepEqual(seen(one.reads()), ["1:4096", "1:8192"]);
    assert.deepEqual(seen(both.reads()), [`2:${2 ** 33}`, "1:8192", "2:512"]);
    const waited = both.reads().at(-1)!;
    assert(waited.waitedMs >= 50);
    assert.equal(waited.length, 600 - 512, "the layer ends there");
    assert.equal(one.lost + both.lost, 0);
  }
  assert(![1, 2, 3].some(isMarked));
});

Deno.test("a layer that two record is recorded until both have ended", () => {
  const { recorder, read, isMarked } = setUp();
  const first = recorder.begin(new Set([1]), OPTIONS);
  using second = recorder.begin(new Set([1, 2]), OPTIONS);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert(isMarked(1) && isMarked(2));
  read(1, 0);
  assert.equal(second.reads().length, 1);
  assert.equal(first.reads().length, 0);
});

Deno.test("reads that find no room are counted and keep nobody waiting", () => {
  const { recorder, read } = setUp();
  using recording = recorder.begin(new Set([1]), { ...OPTIONS, maxReads: 5 });
  for (let i = 0; i < 40_000; i++) read(1, i);
  assert.deepEqual(recording.reads().map(({ offset }) => offset), [
    0,
    1,
    2,
    3,
    4,
  ]);
  assert.equal(recording.lost, 40_000 - 5);
});

Deno.test("the kernel reads ahead again when the last exact recording of a layer ends", () => {
  const { recorder, exact } = setUp();
  const first = recorder.begin(new Set([1]), { ...OPTIONS, pages: "exact" });
  using _other = recorder.begin(new Set([3]), OPTIONS);
  const second = recorder.begin(new Set([2]), { ...OPTIONS, pages: "exact" });
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  assert.deepEqual(exact, [[1], [1, 2], [2], []]);
});

Deno.test("a layer that is removed is recorded no more, nor is the one after it in its row", () => {
  const { shared, recorder, isMarked } = setUp();
  using _recording = recorder.begin(new Set([1]), OPTIONS);
  assert(isMarked(1));
  recorder.forget(1);
  assert(!isMarked(1));
  shared.slots.remove(1);
  shared.slots.add(1, 4, 3);
  assert(!isMarked(1));
});
