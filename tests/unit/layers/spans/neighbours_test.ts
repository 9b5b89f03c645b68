/** What one host, repository or layer does to the others: it takes nothing that they need. */
import assert from "node:assert/strict";
import {
  InflatePool,
  SpanScheduler,
  UncachedSpans,
} from "../../../../lib/layers/spans/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { noiseLayer, serve, type ServedTestLayer } from "./support.ts";

const layer = noiseLayer(60);
const SPAN = spanTable(layer.ztoc).compressedEnd(4) -
  spanTable(layer.ztoc).compressedStart(4);
/** Four spans of one host. */
const MAX_HELD = 4.2 * SPAN;
const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One machine: layers of several hosts behind one scheduler and one pool of Workers. */
class Machine implements AsyncDisposable {
  readonly scheduler: SpanScheduler;
  readonly pool = new InflatePool({ size: 2 });
  readonly #owned = new AsyncDisposableStack();
  readonly #stop = new AbortController();

  constructor(maxHeldBytes = MAX_HELD) {
    this.scheduler = new SpanScheduler({ maxHeldBytes });
  }

  layer(host: string, repository = "team/app"): ServedTestLayer {
    const { scheduler, pool } = this;
    const from = { host, repository };
    return this.#owned.use(serve(layer, { scheduler, pool, from }));
  }

  /** A reader that never leaves. */
  read({ reader }: ServedTestLayer, first: number, last = first) {
    const reading = reader.ensureSpans(
      first,
      last,
      "demand",
      this.#stop.signal,
    );
    reading.catch(() => {}); // its layer is closed at last
    return reading;
  }

  /** Has a layer hang, and somebody want all of it. */
  async hang(served: ServedTestLayer): Promise<void> {
    served.source.gate = ({ signal }) => never(signal);
    await this.readMany(served);
  }

  /** Wants spans one after another, each by a request of its own, then all. */
  async readMany(served: ServedTestLayer): Promise<void> {
    for (let span = 0; span < 32; span += 4) {
      this.read(served, span);
      await pause(0);
    }
    this.read(served, 0, 58);
    await pause(5);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
    this.scheduler[Symbol.dispose]();
    this.pool[Symbol.dispose]();
  }
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason))
  );
}

/** So many bytes a second, in small pieces, to all requests together. */
function drip(served: ServedTestLayer, bytesPerSecond: number): void {
  served.source.pieceBytes = Math.ceil(bytesPerSecond / 10);
  served.source.pace = () => pause(100 * Math.max(1, coming(served)));
}

function coming({ source }: ServedTestLayer): number {
  return source.fetches.filter(({ signal }) => !signal.aborted).length;
}

/** @returns how long it took, ms. @throws when it does not happen in time. */
async function within(ms: number, what: Promise<void>): Promise<number> {
  const began = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  await Promise.race([what, late]).finally(() => clearTimeout(timer));
  return performance.now() - began;
}

/** Far below what a reader waits, far above what a busy machine needs. */
const SOON_MS = 1500;

Deno.test("a host that hangs holds nothing that readers of another host wait for", async () => {
  await using machine = new Machine();
  const hung = machine.layer("hung.example");
  const well = machine.layer("well.example");
  await machine.hang(hung);
  assert.ok(hung.source.fetches.length > 2);
  await within(SOON_MS, machine.read(well, 0, 20));
});

Deno.test("a host that drips holds nothing that readers of another host wait for", async () => {
  await using machine = new Machine();
  const drips = machine.layer("drips.example");
  const well = machine.layer("well.example");
  drip(drips, 3000);
  await machine.readMany(drips);
  await pause(200);
  for (let first = 0; first < 60; first += 20) {
    await within(SOON_MS, machine.read(well, first, first + 9));
    await pause(800);
  }
});

Deno.test("of many hosts that hang at once, none holds what the last one's readers wait for", async () => {
  await using machine = new Machine();
  for (let i = 0; i < 12; i++) {
    await machine.hang(machine.layer(`hung-${i}.example`));
  }
  const well = machine.layer("well.example");
  await within(SOON_MS, machine.read(well, 0, 20));
  await pause(3000); // they are known for slow by now
  await within(SOON_MS, machine.read(well, 30, 50));
});

Deno.test("a repository that hangs holds nothing that readers of its host's other ones wait for", async () => {
  await using machine = new Machine();
  const hung = machine.layer("shared.example", "evil/app");
  const well = machine.layer("shared.example", "team/app");
  await machine.hang(hung);
  await within(SOON_MS, machine.read(well, 0, 20));
  await pause(3000);
  await within(SOON_MS, machine.read(well, 30, 50));
});

Deno.test("of many repositories that hang on one host, none holds what the last one's readers wait for", async () => {
  await using machine = new Machine();
  for (let i = 0; i < 12; i++) {
    await machine.hang(machine.layer("shared.example", `evil/${i}`));
  }
  await within(
    SOON_MS,
    machine.read(machine.layer("shared.example"), 0, 20),
  );
  await within(SOON_MS, machine.read(machine.layer("other.example"), 0, 20));
});

Deno.test("a repository that hangs takes little after two seconds, and what it gives later counts again", async () => {
  await using machine = new Machine(Infinity);
  const hung = machine.layer("hung.example");
  const gate = Promise.withResolvers<void>();
  hung.source.gate = ({ signal }) =>
    Promise.race([gate.promise, never(signal)]);
  await machine.readMany(hung);
  assert.equal(coming(hung), 8);
  await pause(3500);
  assert.ok(coming(hung) <= 8);
  const wanted = machine.read(hung, 0, 58);
  gate.resolve();
  await within(10_000, wanted);
});

Deno.test("what is asked of a repository that hangs is bounded, however long its readers wait", async () => {
  await using machine = new Machine(64 * 2 ** 20);
  const large = noiseLayer(400);
  const { scheduler, pool } = machine;
  await using hung = serve(large, { scheduler, pool });
  hung.source.gate = ({ signal }) => never(signal);
  const stop = new AbortController();
  const waits = [];
  for (let span = 0; span < 390; span += 30) {
    const asked = hung.reader.ensureSpans(
      span,
      span + 28,
      "demand",
      stop.signal,
    );
    waits.push(asked.catch(() => {}));
  }
  const asked = () =>
    hung.source.fetches.filter(({ signal }) => !signal.aborted)
      .reduce((sum, { start, end }) => sum + end - start, 0);
  await pause(5);
  assert.ok(asked() > 10 * 2 ** 20, `${asked()} bytes at first`);
  await pause(3500);
  assert.ok(asked() > 0 && asked() < 5 * 2 ** 20, `${asked()} bytes later`);
  stop.abort(new Error("left"));
  await Promise.all(waits);
});

Deno.test("requests that nobody waits for any more are not made again when a repository hangs", async () => {
  await using machine = new Machine(Infinity);
  const hung = machine.layer("hung.example");
  hung.source.gate = ({ signal }) => never(signal);
  const stop = new AbortController();
  const waits = [];
  for (let span = 0; span < 16; span += 2) {
    const asked = hung.reader.ensureSpans(span, span, "demand", stop.signal);
    waits.push(asked.catch(() => {}));
  }
  await pause(5);
  stop.abort(new Error("left"));
  await Promise.all(waits);
  const before = hung.source.fetches.length;
  await pause(3500);
  assert.equal(hung.source.fetches.length, before);
});

Deno.test("a layer whose spans take long to inflate has one turn while others have theirs", async () => {
  await using machine = new Machine(Infinity);
  const greedy = machine.layer("greedy.example");
  const modest = machine.layer("modest.example");
  const order: string[] = [];
  const { run } = machine.pool;
  machine.pool.run = async (...given) => {
    const outcome = await run.apply(machine.pool, given);
    order.push(given[3]!);
    return outcome;
  };
  const all = machine.read(greedy, 0, 58);
  while (order.length === 0) await pause(0); // its spans have come
  await machine.read(modest, 0, 4);
  await all;
  const last = order.lastIndexOf("modest.example team/app");
  assert.ok(last >= 0 && last < order.length - 10, order.join(", "));
});

Deno.test("in memory for a full disk, a layer that reads much pushes out its own spans first", () => {
  const uncached = new UncachedSpans({ maxBytes: 1000 });
  const kept = (name: string) => {
    const gone: number[] = [];
    return { name, gone, pushedOut: (span: number) => void gone.push(span) };
  };
  const greedy = kept("greedy");
  const modest = kept("modest");
  uncached.put(modest, 0, new Uint8Array(300));
  for (let span = 0; span < 50; span++) {
    uncached.put(greedy, span, new Uint8Array(100));
  }
  assert.deepEqual(modest.gone, []);
  assert.deepEqual(uncached.of(modest), [0]);
  assert.equal(greedy.gone.length, 43);
  assert.deepEqual(uncached.of(greedy).at(-1), 49);
});

Deno.test("spans larger than a host's share come one at a time, and hold up nobody else's", async () => {
  await using machine = new Machine(SPAN / 2);
  const hung = machine.layer("hung.example");
  const well = machine.layer("well.example");
  await machine.hang(hung);
  assert.equal(coming(hung), 1);
  let most = 0;
  well.source.gate = async () => {
    most = Math.max(most, coming(well));
    await pause(5);
  };
  await within(3 * SOON_MS, machine.read(well, 0, 9));
  assert.ok(most >= 1);
});

Deno.test("a repository that gives wrong bytes is asked for one span at a time, and others as before", async () => {
  await using machine = new Machine(Infinity);
  const lying = machine.layer("lying.example");
  const well = machine.layer("well.example");
  Object.assign(lying.source, { blob: new Uint8Array(layer.blob).fill(7) });
  const { fetch } = lying.source;
  let running = 0;
  let most = 0;
  lying.source.fetch = async (...asked) => {
    most = Math.max(most, ++running);
    await pause(1);
    await fetch.apply(lying.source, asked).finally(() => running--);
  };
  await assert.rejects(machine.read(lying, 0), /digest/);
  most = 0; // from here on it is known
  lying.source.fetches.length = 0;
  for (let span = 0; span < 40; span += 2) machine.read(lying, span, span + 1);
  await within(4 * SOON_MS, machine.read(well, 0, 40));
  while (lying.source.fetches.length < 4) await pause(5);
  assert.equal(most, 1);
  for (const { start, end } of lying.source.fetches) {
    assert.ok(end - start < 1.5 * SPAN, `${end - start} bytes at once`);
  }
});

Deno.test("a repository that gave wrong bytes once is asked again at once", async () => {
  await using machine = new Machine(Infinity);
  const served = machine.layer("once.example");
  const { fetch } = served.source;
  let isFirst = true;
  served.source.fetch = async (start, end, into, signal, onProgress) => {
    await fetch.call(served.source, start, end, into, signal);
    if (isFirst) into.fill(7);
    isFirst = false;
    onProgress?.(into.length);
  };
  await within(SOON_MS, machine.read(served, 3));
  assert.equal(served.source.fetches.length, 2);
});

/** The most requests of a layer at a time, once its host's rate is known, while another one is read or none is. */
async function mostBeside(
  machine: Machine,
  served: ServedTestLayer,
  beside: ServedTestLayer | null,
): Promise<number> {
  await machine.read(served, 0, 3);
  const { fetch } = served.source;
  let running = 0;
  let most = 0;
  served.source.fetch = async (...asked) => {
    most = Math.max(most, ++running);
    await fetch.apply(served.source, asked).finally(() => running--);
  };
  const all = [];
  for (let span = 4; span < 58; span += 2) all.push(machine.read(served, span));
  let isOver = false;
  const whole = Promise.all(all).then(() => isOver = true);
  for (let span = 1; beside !== null && !isOver; span++) {
    await machine.read(beside, span % 58);
    await pause(20);
  }
  await whole;
  return most;
}

Deno.test("beside readers of another host, as many requests run as keep the line full, and no more", async () => {
  await using machine = new Machine(Infinity);
  const greedy = machine.layer("greedy.example");
  const modest = machine.layer("modest.example");
  // Its bytes begin at once, and take their time.
  greedy.source.pieceBytes = SPAN / 4;
  greedy.source.pace = (filled) => filled > 0 ? pause(4) : undefined;
  await machine.read(modest, 0);
  assert.ok(await mostBeside(machine, greedy, modest) <= 3);
});

Deno.test("alone on the machine, a host is asked for as much at a time as it gives", async () => {
  await using machine = new Machine(Infinity);
  const greedy = machine.layer("greedy.example");
  greedy.source.pieceBytes = SPAN / 4;
  greedy.source.pace = (filled) => filled > 0 ? pause(4) : undefined;
  assert.ok(await mostBeside(machine, greedy, null) >= 4);
});
