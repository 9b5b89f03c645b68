import { SpanInflater } from "../../formats/deflate/mod.ts";
import { type Descriptor, sha256 } from "../../formats/oci/mod.ts";
import {
  decodeCheckpoints,
  openSpans,
  openZtoc,
  spanFacts,
  type SpanTable,
  ZtocError,
} from "../../formats/ztoc/mod.ts";
import { freeBuffer } from "../../host/memory/mod.ts";
import { preadFully, pwriteFully } from "../../host/os/mod.ts";
import type { InflatePool } from "../../layers/spans/mod.ts";

/** What is behind a tar is padding, and no more than so many bytes. */
const MAX_TAIL_BYTES = 2 ** 20;
/** The last span is inflated here, where nothing long may be done: a larger one is left alone. */
const MAX_LAST_BYTES = 5 * 2 ** 20;
/** Bytes that are given on at a time. */
const PIECE_BYTES = 2 ** 19;

type Bytes = Uint8Array<ArrayBuffer>;

/** The checkpoints of a layer's ztoc are of no use: nothing is said of the layer. */
export class CheckpointsError extends Error {
  static {
    this.prototype.name = "CheckpointsError";
  }
}

/** Where a gzip layer can be entered, as a ztoc says that nobody has proven. */
export interface KnownSpans {
  /** The ztoc. */
  readonly ztoc: Bytes;
  /** Without windows. */
  readonly table: SpanTable;
  /** Of each span, in the ztoc's bytes. */
  readonly window: (span: number) => Bytes;
}

/** The spans of a ztoc; null where they do not help with this layer. @throws ZtocError */
export function knownSpans(
  ztoc: Bytes,
  { size }: Pick<Descriptor, "size">,
): KnownSpans | null {
  const head = openZtoc(ztoc);
  if (head.compression !== "gzip" || head.compressedSize !== size) return null;
  const table = openSpans(spanFacts(head, { windows: "left out" }));
  const last = table.count - 1;
  if (last < 1) return null;
  const longest = Math.max(
    table.end(last) - table.start(last),
    size - table.compressedStart(last),
  );
  if (longest > MAX_LAST_BYTES) return null;
  const { checkpoints } = decodeCheckpoints(head.checkpoints);
  return {
    ...{ ztoc, table },
    window: (span) => checkpoints[table.first + span]!.window.slice(),
  };
}

/** What inflates a layer. */
export interface SpansToInflate {
  /** The blob's bytes, in order. They are the callee's. */
  readonly blob: AsyncIterable<Bytes>;
  readonly sizeBytes: number;
  readonly spans: KnownSpans;
  /** Of an empty file, open until the end. */
  readonly fd: number;
  readonly pool: InflatePool;
  /** Whose layer it is, for turns in the pool. */
  readonly share: string;
  /** Looks at the disk, now and then. @throws what then is told */
  readonly look: () => void;
}

/**
 * Inflates a layer on all cores while it comes: its spans go into the file, and its tar, with all behind it, is given on
 * in order. What is given is as true as the checkpoints.
 * @throws CheckpointsError, and what gives the blob throws
 */
export async function* tarBySpans(work: SpansToInflate): AsyncGenerator<Bytes> {
  const { spans: { table }, fd, pool } = work;
  const underway: { span: number; done: Promise<void> }[] = [];
  const most = pool.capacity + 1;
  async function* oldest(): AsyncGenerator<Bytes> {
    const { span, done } = underway.shift()!;
    await done;
    work.look();
    const end = table.end(span);
    for (let at = table.start(span); at < end; at += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, end - at));
      if (preadFully(fd, piece, at) < piece.length) {
        throw new CheckpointsError(`bytes at ${at} are not in the file`);
      }
      yield piece;
    }
  }
  let tail: Bytes = new Uint8Array(0);
  try {
    for await (const { span, bytes } of cut(work)) {
      if (span === table.count - 1) tail = inflateLast(work, bytes);
      else {
        const done = inflate(work, span, bytes);
        done.catch(() => {}); // told when it is its turn
        underway.push({ span, done });
      }
      if (underway.length >= most) yield* oldest();
    }
    while (underway.length > 0) yield* oldest();
  } finally {
    // Nothing is written from here on: the file may be closed.
    await Promise.allSettled(underway.map(({ done }) => done));
  }
  const last = table.count - 1;
  pwriteFully(
    fd,
    tail.subarray(0, table.end(last) - table.start(last)),
    table.start(last),
  );
  yield tail;
}

async function inflate(
  { spans: { table, window }, fd, pool, share }: SpansToInflate,
  span: number,
  bytes: Bytes,
): Promise<void> {
  const outcome = await pool.run(
    {
      ...{ fd, digest: table.digest(span), headers: null, packed: null },
      packing: { kind: "gzip", bits: table.bits(span), window: window(span) },
      size: table.end(span) - table.start(span),
      offset: table.start(span),
    },
    bytes,
    "background",
    share,
  );
  if (outcome.kind === "written") return;
  throw new CheckpointsError(`span ${span}: ${outcome.kind} ${outcome.detail}`);
}

/** The last span and all behind it. */
function inflateLast(
  { spans: { table, window } }: SpansToInflate,
  bytes: Bytes,
): Bytes {
  const span = table.count - 1;
  const size = table.end(span) - table.start(span);
  const own = table.compressedEnd(span) - table.compressedStart(span);
  if (sha256(bytes.subarray(0, own)) !== table.digest(span)) {
    throw new CheckpointsError(`span ${span} has another digest`);
  }
  const most = size + MAX_TAIL_BYTES;
  let all: Bytes;
  try {
    all = new SpanInflater()
      .inflateToEnd(bytes, table.bits(span), window(span), most)
      .slice();
  } catch (error) {
    throw new CheckpointsError(String(error), { cause: error });
  }
  if (all.length < size || all.length === most) {
    throw new CheckpointsError(`span ${span} gives ${all.length} bytes`);
  }
  return all;
}

/** The compressed bytes of each span, of the last one all to the blob's end. */
async function* cut(
  { blob, sizeBytes, spans: { table } }: SpansToInflate,
): AsyncGenerator<{ span: number; bytes: Bytes }> {
  const here: { at: number; bytes: Bytes }[] = [];
  const more = blob[Symbol.asyncIterator]();
  let filled = 0;
  try {
    for (let span = 0; span < table.count; span++) {
      const start = table.compressedStart(span);
      const end = span === table.count - 1
        ? sizeBytes
        : table.compressedEnd(span);
      while (filled < end) {
        const { value, done } = await more.next();
        if (done) throw new CheckpointsError(`the blob ends at ${filled}`);
        here.push({ at: filled, bytes: value });
        filled += value.length;
      }
      const bytes = new Uint8Array(end - start);
      for (const one of here) {
        const from = Math.max(start, one.at);
        const to = Math.min(end, one.at + one.bytes.length);
        if (from >= to) continue;
        bytes.set(one.bytes.subarray(from - one.at, to - one.at), from - start);
      }
      // Neighbours may share a byte.
      while (here.length > 0 && ends(here[0]!) < end) {
        freeBuffer(here.shift()!.bytes.buffer);
      }
      yield { span, bytes };
    }
    while (!(await more.next()).done); // the blob's own end, and what it says of itself
  } finally {
    await more.return?.();
  }
}

function ends({ at, bytes }: { at: number; bytes: Bytes }): number {
  return at + bytes.length;
}

/** Whether an error says that a ztoc is of no use. */
export function isOfZtoc(error: unknown): boolean {
  return error instanceof ZtocError || error instanceof CheckpointsError;
}
