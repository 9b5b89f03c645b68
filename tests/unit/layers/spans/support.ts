/** A layer in memory, its ztoc, and what a `LayerReader` needs to serve it from a folder. */
import {
  HeaderTable,
  InflatePool,
  LayerReader,
  type LayerReaderOptions,
  SpanMap,
  SpanScheduler,
  type SpanSource,
  SpanSources,
  UncachedSpans,
} from "../../../../lib/layers/spans/mod.ts";
import { closeFd, O, openFd, truncateFd } from "../../../../lib/host/os/mod.ts";
import {
  spanTable,
  type Ztoc,
  ZtocBuilder,
} from "../../../../lib/formats/ztoc/mod.ts";
import { layerBlob, TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";

/** A layer and its true ztoc. */
export interface TestLayer {
  readonly tar: Uint8Array;
  readonly blob: Uint8Array<ArrayBuffer>;
  readonly digest: string;
  readonly ztoc: Ztoc;
}

/** Indexes a tar. */
export function indexed(
  tar: TarBuilder,
  spanSize: number,
  compression: "gzip" | "uncompressed" = "gzip",
): TestLayer {
  const plain = tar.finish();
  const { bytes, digest } = layerBlob(plain, {
    compression: compression === "gzip" ? "gzip" : "none",
  });
  const builder = new ZtocBuilder({ compression, spanSize });
  for (let at = 0; at < bytes.length; at += 65536) {
    builder.push(bytes.subarray(at, at + 65536));
  }
  const { ztoc } = builder.finish();
  return { tar: plain, blob: new Uint8Array(bytes), digest, ztoc };
}

/** A layer of some files that no packer makes smaller, about `spans` spans of 64 KiB. */
export function noiseLayer(spans: number): TestLayer {
  const tar = new TarBuilder();
  for (let i = 0; i < spans; i++) {
    tar.file(`file-${i}`, incompressible(64 * 1024, i % 250 + 1));
  }
  return indexed(tar, 64 * 1024);
}

/** One range that was asked for. */
export interface Fetch {
  readonly start: number;
  readonly end: number;
  readonly signal: AbortSignal;
}

/** Serves a blob from memory and tells what was asked; `gate` may hold a fetch up or spoil it. */
export class MemorySource implements SpanSource {
  readonly fetches: Fetch[] = [];
  /** Awaited before bytes are given. */
  gate: (fetch: Fetch) => Promise<void> | void = () => {};
  /** Bytes given at a time; everything at once when not set. */
  pieceBytes = Infinity;
  /** Awaited before each piece. */
  pace: (filled: number, fetch: Fetch) => Promise<void> | void = () => {};

  constructor(
    readonly blob: Uint8Array,
    readonly host = "memory",
    readonly repository = "",
  ) {}

  async fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    const fetch = { start, end, signal };
    this.fetches.push(fetch);
    await this.gate(fetch);
    for (let filled = 0; filled < into.length;) {
      await this.pace(filled, fetch);
      signal.throwIfAborted();
      const count = Math.min(this.pieceBytes, into.length - filled);
      into.set(
        this.blob.subarray(start + filled, start + filled + count),
        filled,
      );
      filled += count;
      onProgress?.(filled);
    }
  }
}

/** A reader over a folder of its own. */
export interface ServedTestLayer extends AsyncDisposable {
  readonly reader: LayerReader;
  readonly map: SpanMap;
  readonly source: MemorySource;
  readonly scheduler: SpanScheduler;
  readonly pool: InflatePool;
  readonly dataFd: number;
  readonly folder: string;
}

/** Opens a layer as the store does. `options.folder` keeps what an earlier run left there. */
export function serve(
  layer: TestLayer,
  options: {
    readonly ztoc?: Ztoc;
    readonly workers?: number;
    readonly folder?: string;
    readonly headers?: "checked" | "trusted";
    readonly scheduler?: SpanScheduler;
    readonly pool?: InflatePool;
    /** Where the layer comes from; `memory` when not given. */
    readonly from?: { readonly host: string; readonly repository?: string };
    readonly more?: Partial<LayerReaderOptions>;
  } = {},
): ServedTestLayer {
  const folder = options.folder ??
    Deno.makeTempDirSync({ prefix: "soci-deno-spans-" });
  const ztoc = options.ztoc ?? layer.ztoc;
  const spans = spanTable(ztoc);
  const dataFd = openFd(`${folder}/data`, O.RDWR | O.CREAT);
  truncateFd(dataFd, ztoc.uncompressedSize);
  const map = SpanMap.open(
    `${folder}/spans`,
    new Uint8Array(new SharedArrayBuffer(spans.count)),
    { bootId: "x".repeat(36), trusted: options.folder !== undefined },
  );
  const { host, repository } = options.from ?? {};
  const source = new MemorySource(layer.blob, host, repository);
  const scheduler = options.scheduler ?? new SpanScheduler();
  const pool = options.pool ?? new InflatePool({ size: options.workers ?? 1 });
  const headers = options.headers === "trusted" ? null : HeaderTable.open(
    `${folder}/headers`,
    ztoc,
    spans,
  );
  const reader = new LayerReader({
    layerDigest: layer.digest,
    spans,
    compression: ztoc.compression,
    map,
    dataFd,
    sources: SpanSources.of(source),
    scheduler,
    pool,
    headers,
    uncached: new UncachedSpans(),
    ...options.more,
  });
  return {
    reader,
    map,
    source,
    scheduler,
    pool,
    dataFd,
    folder,
    async [Symbol.asyncDispose]() {
      await reader.close();
      map[Symbol.dispose]();
      headers?.[Symbol.dispose]();
      closeFd(dataFd);
      if (options.pool === undefined) pool[Symbol.dispose]();
      if (options.scheduler === undefined) scheduler[Symbol.dispose]();
      if (options.folder === undefined) {
        Deno.removeSync(folder, { recursive: true });
      }
    },
  };
}

/** The bytes of a served layer's tar, through the reader. */
export async function readTar(
  { reader }: { reader: LayerReader },
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  await reader.read(offset, into, AbortSignal.timeout(30_000));
  return into;
}
