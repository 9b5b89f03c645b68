import fc from "fast-check";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import {
  closeFd,
  LIBC_PATH,
  O,
  openFd,
  preadFully,
} from "../../../../lib/host/os/mod.ts";
import {
  InflatePool,
  type LayerReader,
  type SpanClass,
  SpanError,
  SpanMap,
  SpanState,
  UncachedSpans,
} from "../../../../lib/layers/spans/mod.ts";
import { isInFile } from "../../../../lib/layers/spans/span_states.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import { indexed, type MemorySource, serve } from "./support.ts";

/** What the registry does with a request. */
type Answer = "good" | "late" | "broken" | "wrong";

/** What may happen to a layer that is served. */
type Event =
  | { kind: "ask"; first: number; count: number; cls: SpanClass }
  | { kind: "leave"; reader: number }
  | { kind: "evict"; spans: number[] }
  | { kind: "disk"; takes: "writes" | "nothing" }
  | { kind: "push out" | "answer late requests" | "wait" }
  | { kind: "disk breaks" | "condemn" | "close" };

const layer = indexed(
  Array.from({ length: 12 }, (_, i) => i).reduce(
    (tar, i) => tar.file(`file-${i}`, incompressible(20_000 + i * 100, i + 1)),
    new TarBuilder(),
  ),
  16 * 1024,
);
const spans = spanTable(layer.ztoc);
const ALL = Array.from({ length: spans.count }, (_, span) => span);
/** What may be in memory because the disk does not take it: three spans or four. */
const HELD_BYTES = 64 * 1024;
const SETTLED: readonly (SpanState | undefined)[] = [
  SpanState.MISSING,
  SpanState.PRESENT,
  SpanState.HELD,
  SpanState.LEAVING,
  SpanState.FAILED,
  SpanState.UNCHECKED,
];
const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

function assertEqual(bytes: Uint8Array, span: number, what: string): void {
  const content = layer.tar.subarray(spans.start(span), spans.end(span));
  assert.ok(
    Buffer.compare(bytes, content) === 0,
    `span ${span}, ${what}: these are not its bytes`,
  );
}

/** What an earlier process left in the folder of a layer, and what the disk made of it. */
interface Left {
  readonly spans: readonly number[];
  readonly flipped: readonly number[];
}

function leave(folder: string, left: Left): void {
  const data = layer.tar.slice(0, layer.ztoc.uncompressedSize);
  using map = SpanMap.open(`${folder}/spans`, new Uint8Array(spans.count), {
    bootId: "x".repeat(36),
    trusted: true,
  });
  for (const span of left.spans) {
    map.mark(span, crc32(data.subarray(spans.start(span), spans.end(span))));
  }
  for (const span of left.flipped) data[spans.start(span) + 7]! ^= 4;
  for (const span of ALL) {
    if (left.spans.includes(span)) continue;
    data.fill(0, spans.start(span), spans.end(span));
  }
  Deno.writeFileSync(`${folder}/data`, data);
}

/** Has a source give the answers, one a request, and good ones after them. */
function script(source: MemorySource, answers: readonly Answer[]) {
  const late = new Set<() => void>();
  const state = { late, asked: 0, scripted: true };
  source.pieceBytes = 8 * 1024;
  const { fetch } = source;
  source.fetch = async (start, end, into, signal, onProgress) => {
    const answer = state.scripted ? answers[state.asked] ?? "good" : "good";
    state.asked++;
    if (answer === "late") {
      await new Promise<void>((resolve) => {
        late.add(resolve);
        signal.addEventListener("abort", () => resolve());
      });
    }
    signal.throwIfAborted();
    await fetch.call(source, start, end, into, signal, (filled) => {
      if (answer === "wrong") into[Math.max(0, filled - 50)]! ^= 1;
      if (answer === "broken" && filled > into.length / 2) {
        throw new Error("connection lost");
      }
      onProgress?.(filled);
    });
  };
  return state;
}

/** A disk that can be full: `full` puts a descriptor that cannot be written in the place of another. */
class Disk implements Disposable {
  static readonly #libc = Deno.dlopen(LIBC_PATH, {
    dup2: { parameters: ["i32", "i32"], result: "i32" },
  }).symbols;
  readonly #fd: number;
  readonly #writable: number;
  readonly #full: number;

  constructor(path: string, fd: number) {
    this.#fd = fd;
    this.#writable = openFd(path, O.RDWR);
    this.#full = openFd(path, O.RDONLY);
  }

  takes(what: "writes" | "nothing"): void {
    const fd = what === "writes" ? this.#writable : this.#full;
    assert.equal(Disk.#libc.dup2(fd, this.#fd), this.#fd);
  }

  [Symbol.dispose](): void {
    closeFd(this.#writable);
    closeFd(this.#full);
  }
}

/** A layer that is served while things happen to it, and what must hold all the while. */
class Trial {
  readonly uncached = new UncachedSpans({
    maxBytes: HELD_BYTES,
    diskRestMs: 1,
  });
  readonly readers: { done: Promise<void>; stop: AbortController }[] = [];
  /** Spans that were here from the start or that the reader said are here, less those it said went. */
  counted: Set<number>;
  /** What is in the file and was not looked at, and is wrong. */
  readonly flipped: Set<number>;
  readonly folder = Deno.makeTempDirSync({ prefix: "soci-deno-model-" });
  completions = 0;
  gone = 0;
  /** Why nothing is served any more. */
  ended: "closed" | "condemned" | null = null;
  readonly served;
  readonly source;
  readonly disk;

  constructor(pool: InflatePool, answers: readonly Answer[], left: Left) {
    leave(this.folder, left);
    this.counted = new Set(left.spans);
    this.flipped = new Set(left.flipped);
    this.served = serve(layer, {
      pool,
      folder: this.folder,
      more: {
        uncached: this.uncached,
        onPresent: (span) => {
          assert.ok(!this.counted.has(span), `span ${span} came twice`);
          this.counted.add(span);
          this.flipped.delete(span);
        },
        onComplete: () => this.completions++,
        onGone: () => this.#onGone(),
      },
    });
    this.source = script(this.served.source, answers);
    const { folder, dataFd } = this.served;
    this.disk = new Disk(`${folder}/data`, dataFd);
  }

  get reader(): LayerReader {
    return this.served.reader;
  }

  /** Whoever saw spans present may be copying them, until this resolves. */
  async #onGone(): Promise<void> {
    this.gone++;
    const left = [...this.counted].filter((span) => !this.served.map.has(span));
    this.counted = new Set(ALL.filter((span) => this.served.map.has(span)));
    await pause(1);
    if (this.uncached.broken.aborted) return;
    for (const span of left) {
      if (!this.flipped.has(span)) this.#assertOnDisk(span);
    }
  }

  #assertOnDisk(span: number): void {
    const bytes = new Uint8Array(spans.end(span) - spans.start(span));
    preadFully(this.served.dataFd, bytes, spans.start(span));
    assertEqual(bytes, span, SpanState[this.reader.stateOf(span)!]);
  }

  /** What is here can be copied without a wait, and is right; nothing else can. */
  #assertCopy(span: number): void {
    const state = this.reader.stateOf(span);
    const here = state === SpanState.PRESENT || state === SpanState.HELD;
    const into = new Uint8Array(spans.end(span) - spans.start(span));
    assert.equal(this.reader.copy(spans.start(span), into), here);
    if (here) assertEqual(into, span, "copied");
  }

  ask(first: number, count: number, cls: SpanClass): void {
    const stop = new AbortController();
    const last = Math.min(first + count, spans.count) - 1;
    const done = this.reader.ensureSpans(first, last, cls, stop.signal)
      .then(() => this.assertSound());
    done.catch(() => {}); // looked at in the end
    this.readers.push({ done, stop });
  }

  async happen(event: Event): Promise<void> {
    switch (event.kind) {
      case "ask":
        return this.ask(event.first, event.count, event.cls);
      case "leave":
        return this.readers[event.reader]?.stop.abort(new Error("left"));
      case "evict": {
        const evicted = this.reader.evict(event.spans);
        for (const span of event.spans) {
          assert.ok(!this.served.map.has(span), "missing at once");
        }
        return void evicted;
      }
      case "disk":
        return this.disk.takes(event.takes);
      case "push out": {
        const other = { pushedOut: () => {} };
        this.uncached.put(other, 0, new Uint8Array(HELD_BYTES));
        return this.uncached.delete(other, 0);
      }
      case "answer late requests":
        for (const answer of this.source.late) answer();
        return this.source.late.clear();
      case "wait":
        return await pause(2);
      case "disk breaks":
        return this.uncached.diskBroken("EIO");
      case "condemn":
        this.ended ??= "condemned";
        return this.reader.condemn(
          new SpanError("layer", layer.digest, 0, 0, "condemned"),
        );
      case "close":
        this.ended ??= "closed";
        return await this.reader.close();
    }
  }

  /** Holds at every moment. */
  assertSound(): void {
    const { map } = this.served;
    const inFile = ALL.filter((span) => isInFile(this.reader.stateOf(span)));
    assert.deepEqual(ALL.filter((span) => map.has(span)), inFile);
    assert.deepEqual([...this.counted].sort((a, b) => a - b), inFile);
    assert.equal(map.presentCount, inFile.length);
    assert.equal(this.reader.complete, inFile.length === spans.count);
    if (this.uncached.broken.aborted) assert.equal(inFile.length, 0);
    const present = inFile.filter((span) =>
      this.reader.stateOf(span) === SpanState.PRESENT
    );
    for (const span of present) this.#assertOnDisk(span);
    for (const span of ALL) this.#assertCopy(span);
  }

  /** Nobody waits for ever, and what went wrong is what was done to the layer. */
  async assertAllTold(): Promise<void> {
    this.source.scripted = false;
    for (const answer of this.source.late) answer();
    const waiting = Promise.allSettled(this.readers.map(({ done }) => done));
    let timer;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), 20_000);
    });
    const results = await Promise.race([waiting, late]);
    clearTimeout(timer);
    assert.ok(results !== null, "a reader waits for ever");
    for (const result of results) {
      if (result.status === "fulfilled") continue;
      assert.match(
        String(result.reason),
        /connection lost|left|wrong digest|digest is|no longer served|condemned/,
      );
    }
  }

  /** When all is well again everything can be read, by as many bytes as there are. */
  async assertHeals(): Promise<void> {
    this.disk.takes("writes");
    await pause(2);
    if (this.ended === null) {
      const into = new Uint8Array(layer.ztoc.uncompressedSize);
      if (!this.uncached.broken.aborted) {
        await this.reader.read(0, into, AbortSignal.timeout(20_000));
        assert.ok(this.reader.complete && this.completions > 0);
      } else {
        for (const span of ALL) {
          const part = into.subarray(spans.start(span), spans.end(span));
          const stop = AbortSignal.timeout(20_000);
          await this.reader.read(spans.start(span), part, stop);
        }
      }
      assert.ok(Buffer.compare(into, layer.tar.subarray(0, into.length)) === 0);
      this.assertSound();
    }
    await this.reader.close();
    for (const span of ALL) {
      const state = this.reader.stateOf(span);
      assert.ok(SETTLED.includes(state), `span ${span}: ${SpanState[state!]}`);
      if (state === SpanState.PRESENT) continue;
      await assert.rejects(
        this.reader.ensureSpans(
          span,
          span,
          "demand",
          new AbortController().signal,
        ),
        this.ended === "condemned" ? /condemned/ : /no longer served/,
      );
    }
    this.assertSound();
  }
}

const span = fc.integer({ min: 0, max: spans.count - 1 });
const kind = <K extends Event["kind"]>(kind: K) => fc.constant({ kind });
const cls = fc.constantFrom<SpanClass>(
  ...["demand", "expected", "prefetch", "background"] as const,
);
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("ask"),
      first: span,
      count: fc.integer({ min: 1, max: 5 }),
      cls,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("leave"),
      reader: fc.integer({ min: 0, max: 15 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("evict"),
      spans: fc.array(span, { maxLength: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("disk"),
      takes: fc.constantFrom("writes", "nothing"),
    }),
  },
  { weight: 2, arbitrary: kind("push out") },
  { weight: 3, arbitrary: kind("answer late requests") },
  { weight: 12, arbitrary: kind("wait") },
);
/** What ends things comes last, and what may happen after it. */
const ending: fc.Arbitrary<Event[]> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Event[]>([]) },
  ...(["disk breaks", "condemn", "close"] as const).map((end) => ({
    weight: 1,
    arbitrary: fc.array(event, { maxLength: 8 }).map((events) => [
      { kind: end },
      ...events,
    ]),
  })),
);
const answer: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 5, arbitrary: fc.constant("good") },
  { weight: 2, arbitrary: fc.constant("late") },
  { weight: 2, arbitrary: fc.constant("broken") },
  { weight: 2, arbitrary: fc.constant("wrong") },
);

/** All but the last span, so that one arrives at least. */
const left: fc.Arbitrary<Left> = fc.array(
  fc.record({
    span: fc.integer({ min: 0, max: spans.count - 2 }),
    flipped: fc.boolean(),
  }),
  { maxLength: spans.count },
).map((all) => {
  const bySpan = new Map(all.map(({ span, flipped }) => [span, flipped]));
  return {
    spans: [...bySpan.keys()],
    flipped: [...bySpan].flatMap(([span, flipped]) => flipped ? [span] : []),
  };
});

Deno.test("whatever happens to a layer in whatever order, what is present is right and nobody waits for ever", async () => {
  using pool = new InflatePool({ size: 2 });
  const seen = new Set<SpanState | undefined>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 5, maxLength: 40 }),
      ending,
      fc.array(answer, { maxLength: 24 }),
      left,
      async (events, last, answers, left) => {
        const trial = new Trial(pool, answers, left);
        try {
          for (const event of [...events, ...last]) {
            await trial.happen(event);
            trial.assertSound();
            for (const span of ALL) seen.add(trial.reader.stateOf(span));
          }
          await trial.assertAllTold();
          trial.assertSound();
          await trial.assertHeals();
        } finally {
          trial.disk[Symbol.dispose]();
          await trial.served[Symbol.asyncDispose]();
          Deno.removeSync(trial.folder, { recursive: true });
        }
      },
    ),
    { numRuns: 150 },
  );
  for (const state of Object.values(SpanState)) {
    if (typeof state === "string") continue;
    assert.ok(seen.has(state), `no span ever was ${SpanState[state]}`);
  }
});
