import { canonicalJson, type Digest, isDigest } from "../oci/mod.ts";
import { OrderError } from "./errors.ts";
import { isWorkload } from "./media_types.ts";
import { MAX_LAYER_OFFSET, type OrderRange, PLAN_LIMITS } from "./model.ts";

/** Bytes of a layer that a start touched for the first time. */
export interface OrderTouch extends OrderRange {
  /** Milliseconds since the recording began; in a merged one the median. */
  readonly ms: number;
  /** Milliseconds that the reader waited for these bytes; 0 where they were here. */
  readonly waitedMs: number;
  /** In how many of the recording's runs they were touched. */
  readonly runs: number;
}

/** What one start, or several merged ones, read first. */
export interface Recording {
  /** The image as it was named when it was started; for people. */
  readonly image: string;
  /** Which workload of the image this is. */
  readonly workload: string;
  /** `os/arch[/variant]`. */
  readonly platform: string;
  /** How many starts it is made of. */
  readonly runs: number;
  /** Digests of the layers that touches count in. */
  readonly layers: readonly Digest[];
  /** In order of first touch. */
  readonly touches: readonly OrderTouch[];
}

/** The most bytes of a recording's file. */
export const MAX_RECORDING_BYTES = 64 * 2 ** 20;
/** The most touches of one recording. */
export const MAX_TOUCHES = 2 ** 19;
const VERSION = 1;
/** A week; whatever ran longer was no start. */
const MAX_MS = 7 * 86_400_000;

/** Writes a recording as JSON; touches are short lists, one a line. */
export function encodeRecording(recording: Recording): Uint8Array {
  const { touches, ...head } = recording;
  const lines = touches.map(({ layer, offset, length, ms, waitedMs, runs }) =>
    JSON.stringify([layer, offset, length, round(ms), round(waitedMs), runs])
  );
  const start = canonicalJson({ loadOrderRecording: VERSION, ...head })
    .slice(0, -1);
  return new TextEncoder().encode(
    `${start},"touches":[\n${lines.join(",\n")}\n]}\n`,
  );
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Reads a recording from an untrusted place. @throws OrderError, and nothing else. */
export function decodeRecording(bytes: Uint8Array): Recording {
  if (bytes.length > MAX_RECORDING_BYTES) {
    throw new OrderError("too-large", `recording of ${bytes.length} bytes`);
  }
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new OrderError("value", "recording is no JSON", { cause });
  }
  if (value?.loadOrderRecording !== VERSION) {
    throw new OrderError("value", `recording is not of version ${VERSION}`);
  }
  const { image, workload, platform, runs, layers, touches } = value;
  if (
    !isText(image, 1000) || !isText(platform, 100) || !isWorkload(workload) ||
    !isCount(runs, 1, 1e6)
  ) throw new OrderError("value", "recording does not say what it is of");
  if (
    !Array.isArray(layers) || layers.length > PLAN_LIMITS.layers ||
    !layers.every(isDigest) || new Set(layers).size !== layers.length
  ) throw new OrderError("value", "recording names no layers");
  if (!Array.isArray(touches) || touches.length > MAX_TOUCHES) {
    throw new OrderError(
      "too-large",
      `recording is of no touches, or over ${MAX_TOUCHES}`,
    );
  }
  return {
    image,
    workload,
    platform,
    runs,
    layers,
    touches: touches.map((touch, i) =>
      readTouch(touch, i, layers.length, runs)
    ),
  };
}

function readTouch(
  value: unknown,
  i: number,
  layers: number,
  allRuns: number,
): OrderTouch {
  const [layer, offset, length, ms, waitedMs, runs] = Array.isArray(value)
    ? value as unknown[]
    : [];
  if (
    !isCount(layer, 0, layers - 1) || !isCount(offset, 0, MAX_LAYER_OFFSET) ||
    !isCount(length, 1, MAX_LAYER_OFFSET - offset) || !isTime(ms) ||
    !isTime(waitedMs) || !isCount(runs, 1, allRuns)
  ) throw new OrderError("value", `touches[${i}] of the recording is none`);
  return { layer, offset, length, ms, waitedMs, runs };
}

function isText(value: unknown, max: number): value is string {
  return typeof value === "string" && value.length <= max;
}

function isCount(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && value as number >= min &&
    value as number <= max;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= MAX_MS;
}
