import { setImmediate } from "node:timers/promises";
import {
  type Digest,
  DigestStream,
  updateInSteps,
} from "../../formats/oci/mod.ts";
import { ReusedBlocks } from "../../host/memory/mod.ts";
import {
  type ComingFiles,
  type ComingLayer,
  UnitsWriter,
} from "../builder/mod.ts";
import type { PlannedUnits } from "./plan.ts";
import type { FromInflater, UnitWork } from "./unit_messages.ts";
import { UnitWorkers } from "./unit_workers.ts";

/** The checkpoints of a layer's ztoc are of no use: nothing is said of the layer. */
export class CheckpointsError extends Error {
  static {
    this.prototype.name = "CheckpointsError";
  }
}

/** Bytes of units that are asked for, or wait to be inflated: no more is asked for when there are so many. */
const AHEAD_BYTES = 20 * 2 ** 20;
/** A request asks for so many at most, or for one unit. What a registry does for a request takes as long as a MB. */
const REQUEST_BYTES = 3 * 2 ** 20;

/** What inflates a layer by its units. */
export interface UnitsToInflate {
  /** Where it can be entered. */
  readonly units: PlannedUnits;
  /** Its files. */
  readonly files: ComingFiles;
  /** Folder of these files, without links. */
  readonly folder: string;
  /** How many Workers. */
  readonly workers: number;
  /** Brings bytes of the blob into memory that is for them. @throws what then is told */
  readonly fetch: (
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Bytes that one request asks for at most, or for one unit. Default: some MiB. */
  readonly requestBytes?: number;
  /** Looks at the disk, now and then. @throws what then is told */
  readonly look: () => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Units that come by one request. */
interface Ahead {
  readonly works: readonly UnitWork[];
  /** Where its bytes begin and end in the blob: the first request has all before the first unit, too. */
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** When they are there. */
  readonly come: Promise<void>;
}

/**
 * Inflates a layer on all cores while it comes. What is in the file is as true as the checkpoints. Workers are there for
 * this layer alone. `coming` is given up where it fails; or by whoever reads it, then it ends soon.
 * @returns the digest of the blob.
 * @throws CheckpointsError, and what `fetch` and `look` throw
 */
export async function inflateUnits(
  work: UnitsToInflate,
  coming: ComingLayer,
): Promise<Digest> {
  const writer = new UnitsWriter(coming);
  const stop = new AbortController();
  try {
    using workers = new UnitWorkers(work);
    try {
      return await inOrder(
        work,
        writer,
        workers,
        AbortSignal.any([work.signal, stop.signal]),
      );
    } finally {
      await workers.idle(); // nothing is written from here on
    }
  } catch (error) {
    writer.giveUp(); // or whoever reads waits for ever
    stop.abort(error); // requests
    throw error;
  }
}

async function inOrder(
  work: UnitsToInflate,
  writer: UnitsWriter,
  workers: UnitWorkers,
  signal: AbortSignal,
): Promise<Digest> {
  const { requestBytes = REQUEST_BYTES } = work;
  using memory = new ReusedBlocks(
    requestBytes,
    Math.ceil(AHEAD_BYTES / requestBytes),
  );
  const digest = new DigestStream();
  let failure: string | null = null;
  for await (const next of ahead(work, requestBytes, memory, signal)) {
    const { works, from, bytes: compressed, come } = next;
    await come;
    const [first] = works;
    // A byte that two units share was hashed with the first of them.
    const isShared = first!.unit > 0 && first!.bits > 0;
    await updateInSteps(
      digest,
      isShared ? compressed.subarray(1) : compressed,
      () => setImmediate(),
    );
    const worker = await workers.free();
    if (failure !== null) throw new CheckpointsError(failure);
    if (writer.isGivenUp) throw new CheckpointsError("its tar is none");
    work.look();
    worker.inflate({ works, from, compressed }).then((outcome) => {
      try {
        memory.give(entered(outcome, works, writer));
      } catch (error) {
        failure ??= String(error);
      }
    });
  }
  await workers.idle();
  if (failure !== null) throw new CheckpointsError(failure);
  return digest.finish();
}

/** Takes a Worker's answer. @returns the memory of the units. @throws where it is of no use */
function entered(
  outcome: FromInflater,
  works: readonly UnitWork[],
  writer: UnitsWriter,
): Uint8Array {
  if (outcome.kind === "failed") throw new CheckpointsError(outcome.detail);
  for (const [i, { unit, offset }] of works.entries()) {
    const { digest, size } = outcome.written[i]!;
    writer.came(unit, digest, offset + size);
  }
  return outcome.compressed;
}

/** The units in order, each asked for before its turn. */
async function* ahead(
  { units, fetch }: UnitsToInflate,
  requestBytes: number,
  memory: ReusedBlocks,
  signal: AbortSignal,
): AsyncGenerator<Ahead, void, void> {
  const asked: Ahead[] = [];
  const { length } = units.inputs;
  let next = 0;
  let held = 0;
  while (next < length || asked.length > 0) {
    while (next < length && (asked.length === 0 || held < AHEAD_BYTES)) {
      const first = unitOf(units, next++);
      const from = first.unit === 0 ? 0 : first.start;
      const works = [first];
      let to = first.end;
      for (; next < length; next++) {
        const one = unitOf(units, next);
        if (one.end - from > requestBytes) break;
        works.push(one);
        to = one.end;
      }
      const bytes = memory.take(to - from);
      const come = fetch(from, to, bytes, signal);
      come.catch(() => {}); // told when it is its turn
      asked.push({ works, from, to, bytes, come });
      held += to - from;
    }
    const first = asked.shift()!;
    yield first;
    held -= first.to - first.from;
  }
}

function unitOf(units: PlannedUnits, unit: number): UnitWork {
  const { inputs, outputs, bits, windows, compressedSize, size } = units;
  const offset = outputs[unit]!;
  return {
    unit,
    start: inputs[unit]! - (bits[unit] === 0 ? 0 : 1),
    end: inputs[unit + 1] ?? compressedSize,
    bits: bits[unit]!,
    window: windows[unit]!,
    offset,
    size: (outputs[unit + 1] ?? size) - offset,
    isLast: unit === inputs.length - 1,
  };
}
