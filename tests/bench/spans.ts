/**
 * `deno task bench:spans`: what it costs that spans come over a line of 100 Mbit/s and 5 ms, from a
 * real registry, read through the real mount. Three questions, each against the bare transfer of the
 * same bytes over the same line in the same run:
 *
 * - one missing 4 KiB read, against the round trip and the transfer of its span;
 * - a hundred readers of a hundred missing spans at once, against one transfer of as many bytes;
 * - reads with pauses between them, while the rest of the layer is filled in the background, against
 *   the same reads without.
 *
 * And what checking tar headers adds to inflating. Ratios are the result; milliseconds depend on the
 * machine and what else it does. Names of parts (`singleReads`, …) as arguments run only those.
 * @module
 */
import { mountHelperArguments } from "../../cmd/program.ts";
import { HeaderTable } from "../../lib/layers/spans/mod.ts";
import { SpanHeaderCheck } from "../../lib/layers/spans/headers.ts";
import { SpanInflater } from "../../lib/formats/deflate/mod.ts";
import { LayerStore, type OpenLayer } from "../../lib/layers/serving/mod.ts";
import { RegistryBlobs } from "../../lib/images/lazy/source.ts";
import {
  parseReference,
  RegistryClient,
} from "../../lib/remote/registry/mod.ts";
import {
  decodeZtoc,
  encodeZtoc,
  spanTable,
  type Ztoc,
  ZtocBuilder,
} from "../../lib/formats/ztoc/mod.ts";
import { startDockerRegistry } from "../support/host/mod.ts";
import { type LayerBlob, makeImage, pushImage } from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { chart } from "./chart.ts";
import { hostLayer } from "./image.ts";
import { saveResults } from "./results.ts";
import {
  cacheFolder,
  exists,
  median,
  printMachine,
  printTable,
  someFiles,
  timed,
} from "./support.ts";

const LINE = { bitsPerSecond: 100e6, delayMs: 2.5 };
const SPAN_BYTES = 4 * 2 ** 20;
const LAYER_BYTES = 430 * 2 ** 20;
const REPOSITORY = "bench/spans";
const SINGLE_READS = 15;
const READERS = 100;
const PACED_READS = 25;
const PACE_MS = 250;
/** So much of a file in one span keeps what the kernel reads around a place inside the span. */
const ROOM_BYTES = 512 * 1024;

interface Bench {
  readonly layer: LayerBlob;
  readonly ztoc: Ztoc;
  readonly ztocBytes: Uint8Array<ArrayBuffer>;
  /** The registry at the other end of the slow line. */
  readonly host: string;
  readonly client: RegistryClient;
}

/** A layer served from an empty cache. */
interface Served extends AsyncDisposable {
  readonly store: LayerStore;
  readonly layer: OpenLayer;
  /** For each span a place of a file that lies well inside it. */
  readonly places: ReadonlyMap<number, Place>;
}

interface Place {
  readonly path: string;
  readonly at: number;
}

async function serve(bench: Bench): Promise<Served> {
  const root = await Deno.makeTempDir({ prefix: "soci-deno-bench-spans-" });
  const store = await LayerStore.open({
    root,
    mountDirectory: `${root}/fs`,
    mountHelper: mountHelperArguments(),
  });
  const reference = parseReference(`${bench.host}/${REPOSITORY}:1`);
  const layer = await store.add(
    bench.layer.digest,
    bench.ztocBytes.slice(), // goes to a Worker
    new RegistryBlobs(bench.client, `${root}/ingest`).source(
      reference,
      bench.layer.digest,
      () => bench.ztoc.compressedSize,
    ),
    null,
  );
  await layer.shown;
  const places = new Map<number, Place>();
  for (const { name, type, offset, size } of bench.ztoc.entries) {
    if (type !== "reg" || size < ROOM_BYTES) continue;
    const path = `${layer.directory}/${new TextDecoder().decode(name)}`;
    const last = layer.spans.spanAt(offset + size - 1);
    for (let span = layer.spans.spanAt(offset); span <= last; span++) {
      const from = Math.max(0, layer.spans.start(span) - offset);
      const to = Math.min(size, layer.spans.end(span) - offset);
      const at = Math.ceil((from + ROOM_BYTES / 4) / 4096) * 4096;
      if (at + ROOM_BYTES / 2 < to) places.set(span, { path, at });
    }
  }
  return {
    store,
    layer,
    places,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await Deno.remove(root, { recursive: true });
    },
  };
}

/** Reads 4 KiB, off this thread. */
async function read4k({ path, at }: Place): Promise<number> {
  using file = await Deno.open(path);
  await file.seek(at, Deno.SeekMode.Start);
  const { ms } = await timed(async () => {
    if (await file.read(new Uint8Array(4096)) !== 4096) {
      throw new Error(`${path} is too short`);
    }
  });
  return ms;
}

/** Transfers bytes of the blob over the line and throws them away. */
async function transfer(
  { host, layer }: Bench,
  start: number,
  end: number,
): Promise<number> {
  const { ms } = await timed(async () => {
    const response = await fetch(
      `http://${host}/v2/${REPOSITORY}/blobs/${layer.digest}`,
      { headers: { range: `bytes=${start}-${end - 1}` } },
    );
    const bytes = await response.arrayBuffer();
    if (bytes.byteLength !== end - start) throw new Error("not the range");
  });
  return ms;
}

/** What was found, as times the peer of the same run. */
const RATIOS = new Map<string, number>();
const FIGURES = new Map<string, unknown>();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ratio = (ours: number, peer: number) => (ours / peer).toFixed(2);
const percentile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)]!;

/** Some of the spans that have a place, spread over the layer. */
function spread(served: Served, count: number): number[] {
  const spans = [...served.places.keys()].sort((a, b) => a - b);
  const wanted = Math.min(count, spans.length);
  return Array.from(
    { length: wanted },
    (_, i) => spans[Math.floor(i * spans.length / wanted)]!,
  );
}

async function singleReads(bench: Bench): Promise<void> {
  await using served = await serve(bench);
  const { spans } = served.layer;
  const ours: number[] = [];
  const bare: number[] = [];
  const more: number[] = [];
  const order = spread(served, SINGLE_READS + 1);
  order.reverse(); // no two in order: nothing is read ahead
  for (const [i, span] of order.entries()) {
    const range = [
      spans.compressedStart(span),
      spans.compressedEnd(span),
    ] as const;
    const peer = await transfer(bench, ...range);
    await pause(60);
    const own = await read4k(served.places.get(span)!);
    await pause(60);
    if (i === 0) continue; // connections are made
    ours.push(own);
    bare.push(peer);
    more.push(own - peer);
  }
  RATIOS.set(
    "a missing 4 KiB read, to its span's transfer",
    median(ours) / median(bare),
  );
  FIGURES.set("singleReads", { ours, bare });
  printTable(
    `A missing 4 KiB read (${ours.length}, medians; goal: at most 10 ms more)`,
    ["", "ms", "× bare"],
    [
      ["bare transfer of the span, round trip included", ms(bare), "1.00"],
      ["read through the mount", ms(ours), ratio(median(ours), median(bare))],
      ["more, median", median(more).toFixed(1), ""],
      ["more, 90 %", percentile(more, 0.9).toFixed(1), ""],
    ],
  );
}

const ms = (values: readonly number[]) => median(values).toFixed(1);

async function manyReaders(bench: Bench): Promise<void> {
  await using served = await serve(bench);
  const { spans } = served.layer;
  const wanted = spread(served, READERS);
  const bytes = wanted.reduce(
    (sum, span) =>
      sum + spans.compressedEnd(span) - spans.compressedStart(span),
    0,
  );
  const bare = await transfer(bench, 0, bytes);
  // In no order that a range could follow.
  const shuffled = wanted.map((span, i) => ({ span, key: i * 37 % 101 }))
    .sort((a, b) => a.key - b.key).map(({ span }) => span);
  const { ms: ours } = await timed(() =>
    Promise.all(shuffled.map((span) => read4k(served.places.get(span)!)))
  );
  RATIOS.set(
    `${wanted.length} readers of missing spans, to the bytes' transfer`,
    ours / bare,
  );
  FIGURES.set("manyReaders", { ours, bare, bytes });
  printTable(
    `${wanted.length} readers of as many missing spans at once (goal: 1.3)`,
    ["", "s", "× bare"],
    [
      [
        `bare transfer of ${(bytes / 1e6).toFixed(0)} MB`,
        (bare / 1000).toFixed(2),
        "1.00",
      ],
      ["all readers served", (ours / 1000).toFixed(2), ratio(ours, bare)],
    ],
  );
}

async function pacedReads(bench: Bench): Promise<void> {
  const run = async (background: boolean) => {
    await using served = await serve(bench);
    // From the end on, where the background comes last.
    const order = spread(served, PACED_READS * 2 + 1).reverse()
      .slice(0, PACED_READS + 1);
    const waits: number[] = [];
    if (background) served.layer.fill().catch(() => {});
    await pause(500);
    const before = served.store.fetched.backgroundBytes;
    const started = performance.now();
    for (const [i, span] of order.entries()) {
      await pause(PACE_MS);
      const wait = await read4k(served.places.get(span)!);
      if (i > 0) waits.push(wait);
    }
    const { backgroundBytes } = served.store.fetched;
    const bytesPerMs = (backgroundBytes - before) /
      (performance.now() - started);
    return { waits, bytesPerMs };
  };
  const alone = await run(false);
  const beside = await run(true);
  RATIOS.set(
    "paced reads beside the background, to those without",
    median(beside.waits) / median(alone.waits),
  );
  FIGURES.set("pacedReads", { alone, beside });
  printTable(
    `Reads with ${PACE_MS} ms between them (goal: at most 1.10 with background)`,
    ["", "median ms", "90 % ms", "×", "background Mbit/s"],
    [
      [
        "without background",
        ms(alone.waits),
        percentile(alone.waits, 0.9).toFixed(1),
        "1.00",
        "0",
      ],
      [
        "with background",
        ms(beside.waits),
        percentile(beside.waits, 0.9).toFixed(1),
        ratio(median(beside.waits), median(alone.waits)),
        (beside.bytesPerMs * 8 / 1000).toFixed(0),
      ],
    ],
  );
}

function headerChecks({ layer, ztoc }: Bench): void {
  const folder = Deno.makeTempDirSync();
  const spans = spanTable(ztoc);
  using table = HeaderTable.open(`${folder}/headers`, ztoc, spans);
  const inflater = new SpanInflater();
  let inflating = 0;
  let checking = 0;
  for (let round = 0; round < 2; round++) {
    inflating = checking = 0;
    for (let span = 0; span < spans.count; span++) {
      const start = performance.now();
      const bytes = inflater.inflate(
        layer.bytes.subarray(
          spans.compressedStart(span),
          spans.compressedEnd(span),
        ),
        spans.bits(span),
        spans.window(span)!,
        spans.end(span) - spans.start(span),
      );
      const inflated = performance.now();
      const check = new SpanHeaderCheck(table.ofSpan(span), spans.start(span));
      check.advance(bytes);
      if (check.difference !== null) throw new Error(check.difference);
      inflating += inflated - start;
      checking += performance.now() - inflated;
    }
  }
  Deno.removeSync(folder, { recursive: true });
  RATIOS.set("checking tar headers, to inflating", checking / inflating);
  FIGURES.set("headerChecks", { inflating, checking });
  printTable(
    `Checking the headers of ${ztoc.entries.length} entries in ${spans.count} spans`,
    ["", "ms a span", "× inflating", "µs an entry"],
    [
      ["inflating", (inflating / spans.count).toFixed(2), "1.00", ""],
      [
        "checking headers",
        (checking / spans.count).toFixed(2),
        ratio(checking, inflating),
        (checking * 1000 / ztoc.entries.length).toFixed(1),
      ],
    ],
  );
}

async function ztocOf(path: string, layer: LayerBlob) {
  const known = `${path}.ztoc`;
  if (!exists(known)) {
    const builder = new ZtocBuilder({
      compression: "gzip",
      spanSize: SPAN_BYTES,
    });
    for (let at = 0; at < layer.bytes.length; at += 1 << 20) {
      builder.push(layer.bytes.subarray(at, at + (1 << 20)));
    }
    await Deno.writeFile(known, encodeZtoc(builder.finish().ztoc));
  }
  const ztocBytes = await Deno.readFile(known);
  return { ztoc: decodeZtoc(ztocBytes), ztocBytes };
}

printMachine();
const path = `${cacheFolder()}/spans-layer`;
const layer = await hostLayer(path, someFiles("/usr", LAYER_BYTES));
const { ztoc, ztocBytes } = await ztocOf(path, layer);
await using registry = await startDockerRegistry();
await pushImage(
  registry.host,
  `${REPOSITORY}:1`,
  makeImage({ layers: [layer] }),
);
await using link = await throttle(registry.host, LINE);
using client = new RegistryClient();
const bench: Bench = { layer, ztoc, ztocBytes, host: link.host, client };
const parts = { headerChecks, singleReads, manyReaders, pacedReads };
for (const [name, part] of Object.entries(parts)) {
  if (Deno.args.length === 0 || Deno.args.includes(name)) await part(bench);
}
const saved = saveResults("spans", Object.fromEntries(FIGURES));
await Deno.writeTextFile(
  saved.replace(/json$/, "svg"),
  chart({
    title: "Spans over 100 Mbit/s and 5 ms",
    unit: "times its peer in the same run",
    groups: [...RATIOS.keys()],
    series: [{ name: "soci-deno", values: [...RATIOS.values()] }],
    line: 1,
  }),
);
console.log(`\nsaved: ${saved} and a chart beside it`);
