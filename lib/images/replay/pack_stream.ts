import { Buffer } from "node:buffer";
import type { Digest } from "../../formats/oci/mod.ts";
import {
  type LoadOrder,
  type PackFrame,
  rangesOfFrame,
  type UnpackedRange,
  unpackFrame,
} from "../../formats/order/mod.ts";
import { freeBuffer } from "../../host/memory/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";

/** Compressed bytes that one request asks for: frames of one pack that follow one another. */
const REQUEST_BYTES = 2 ** 20;
/** Requests at a time: two hide each other's round trips. */
const REQUESTS = 2;
/** A pack that brings less than this in so long is given up: its readers are served by spans then. */
const DRIP_MS = 2_000;
const DRIP_BYTES = 64 * 1024;
/** How long a request of the pack waits for readers of other bytes, ms: at a time, and at most. */
const YIELD_MS = 5;
const MAX_YIELD_MS = 1_000;

/** What is asked of a registry. */
export type ReplayClient = Pick<
  RegistryClient,
  "manifest" | "blobBytes" | "range"
>;

/** What a stream of frames works with. */
export interface PackStreamOptions {
  readonly client: Pick<ReplayClient, "range">;
  readonly repository: Repository;
  readonly order: LoadOrder;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Whether a reader waits for bytes of that registry that come by no pack. */
  readonly readersWait: () => boolean;
  /**
   * A frame has come, and has the digest that the plan says.
   * @returns whether nothing refers to its bytes any more, or some are kept.
   */
  readonly onRanges: (
    frame: PackFrame,
    ranges: readonly UnpackedRange[],
  ) => "used" | "kept";
}

/** Some frames that are asked for at once. */
interface Run {
  readonly pack: Digest;
  readonly frames: PackFrame[];
  readonly start: number;
  end: number;
}

/** Groups frames that follow one another in one pack, in their order. */
function* runsOf(
  order: LoadOrder,
  frames: Iterable<PackFrame>,
): Generator<Run, void, void> {
  let run: Run | null = null;
  for (const frame of frames) {
    const pack = order.packs[frame.pack]!.digest;
    const end = frame.offset + frame.compressedLength;
    if (
      run !== null && run.pack === pack && run.end === frame.offset &&
      end - run.start <= REQUEST_BYTES
    ) {
      run.frames.push(frame);
      run.end = end;
      continue;
    }
    if (run !== null) yield run;
    run = { pack, frames: [frame], start: frame.offset, end };
  }
  if (run !== null) yield run;
}

/**
 * Fetches frames, checks each against the plan, and unpacks it, in their order and as fast as the line gives
 * them. A reader of other bytes goes first: no request begins while one waits.
 * @throws the registry's errors, OrderError when a frame is another one, or the signal's reason
 */
export async function streamFrames(
  frames: Iterable<PackFrame>,
  options: PackStreamOptions,
): Promise<void> {
  const dripped = new AbortController();
  const signal = AbortSignal.any([options.signal, dripped.signal]);
  let received = 0;
  let seen = 0;
  const watch = setInterval(() => {
    if (received - seen < DRIP_BYTES && !options.readersWait()) {
      dripped.abort(
        new Error(
          `the pack came at less than ${DRIP_BYTES} bytes in ${DRIP_MS} ms`,
        ),
      );
    }
    seen = received;
  }, DRIP_MS);
  const runs = runsOf(options.order, frames);
  const work = async () => {
    for (const run of runs) {
      await yieldToReaders(options.readersWait, signal);
      await fetchRun(run, options, signal, (count) => received += count);
    }
  };
  try {
    const all = Array.from({ length: REQUESTS }, work);
    for (const one of all) one.catch((error) => dripped.abort(error));
    await Promise.all(all);
  } finally {
    clearInterval(watch);
  }
}

async function yieldToReaders(
  readersWait: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const endMs = performance.now() + MAX_YIELD_MS;
  while (readersWait() && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, YIELD_MS));
    signal.throwIfAborted();
  }
}

async function fetchRun(
  { pack, frames, start, end }: Run,
  { client, repository, order, onRanges }: PackStreamOptions,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  const bytes = new Uint8Array(end - start);
  let next = 0;
  let counted = 0;
  let failure: unknown = null;
  const reached = (filled: number) => {
    if (filled > counted) {
      onBytes(filled - counted);
      counted = filled;
    }
    for (; failure === null && next < frames.length; next++) {
      const frame = frames[next]!;
      const from = frame.offset - start;
      const to = from + frame.compressedLength;
      if (to > filled) return;
      signal.throwIfAborted();
      try {
        const content = unpackFrame(frame, bytes.subarray(from, to));
        const ranges = rangesOfFrame(order, frame, content);
        const now = onRanges(frame, ranges);
        if (now === "used" && content.length > Buffer.poolSize) {
          freeBuffer(content.buffer as ArrayBuffer); // it lies in one of its own
        }
      } catch (error) {
        failure = error;
      }
    }
  };
  await client.range(repository, pack, start, end, bytes, signal, reached);
  reached(bytes.length);
  if (failure !== null) throw failure;
  freeBuffer(bytes.buffer);
}
