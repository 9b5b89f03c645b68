/** What no way can pass: the line, and the cores that inflate and hash. @module */
import { DEFAULT_SPAN_SIZE_BYTES } from "../../../lib/formats/ztoc/mod.ts";
import { LayerIndexer } from "../../../lib/layers/builder/mod.ts";
import type { Line } from "../coldstart/lines.ts";
import type { BenchRegistry, Published } from "../coldstart/registry.ts";

/** Of one image, on this machine. */
export interface Cost {
  readonly bytes: number;
  /** Seconds of one core, of each layer: inflating and hashing as our own pass does, nothing written. */
  readonly layers: readonly number[];
}

const CHUNK_BYTES = 2 ** 20;

/** Finds out what an image costs. Its blobs are in the registry's cache afterwards. */
export async function costOf(
  registry: BenchRegistry,
  published: Published,
): Promise<Cost> {
  using indexer = new LayerIndexer();
  const blobs = await registry.blobs(published, published.layers);
  const smallest = blobs.reduce((least, blob) =>
    blob!.length < least!.length ? blob : least
  );
  await secondsOf(indexer, smallest!); // code that never ran is slow
  const layers: number[] = [];
  for (const blob of blobs) layers.push(await secondsOf(indexer, blob!));
  return { bytes: published.sizeBytes, layers };
}

async function secondsOf(
  indexer: LayerIndexer,
  blob: Uint8Array<ArrayBuffer>,
): Promise<number> {
  function* chunks() {
    for (let at = 0; at < blob.length; at += CHUNK_BYTES) {
      yield blob.slice(at, at + CHUNK_BYTES); // it keeps what it gets
    }
  }
  const start = performance.now();
  await indexer.index(ReadableStream.from(chunks()), {
    ...{ compression: "gzip", buildTool: "bench" },
    spanSizeBytes: DEFAULT_SPAN_SIZE_BYTES,
  });
  return (performance.now() - start) / 1000;
}

/** The seconds that a goal gives a start over a line. */
export function allowed(
  { bytes, layers }: Cost,
  { name, limits }: Line,
): number {
  if (limits === null) throw new Error(`${name} has no limit`);
  const { bitsPerSecond, delayMs } = limits;
  const transfer = bytes * 8 / bitsPerSecond + 2 * delayMs / 1000;
  if (bitsPerSecond < 1e9) return transfer * 1.03 + 0.3;
  const all = layers.reduce((sum, it) => sum + it, 0) /
    navigator.hardwareConcurrency;
  return Math.max(transfer, ...layers, all) * 1.15 + 0.3;
}
