import { WINDOW_BYTES } from "../deflate/mod.ts";
import {
  CHECKPOINT_BYTES,
  CHECKPOINTS_HEADER_BYTES,
  FIRST_IN,
  MAX_CHECKPOINTS,
  readInt64,
  storedOf,
} from "./checkpoints.ts";
import { ZtocError } from "./errors.ts";
import { FlatBufferReader } from "./flatbuffer_reader.ts";
import { ALGORITHM, COMPRESSION, ZTOC } from "./schema.ts";

/** A ztoc that lies in a file. */
export interface ZtocFile {
  /** Bytes of it. */
  readonly size: number;
  /** Fills `into` from a place in it. @throws what then is told */
  readonly read: (into: Uint8Array<ArrayBuffer>, at: number) => void;
}

/** Where a gzip layer can be entered, as its ztoc says. Nothing of it is proven, and no window is here. */
export interface CheckpointPlaces {
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Bytes of the tar. */
  readonly uncompressedSize: number;
  /** Bytes of the ztoc beside its checkpoints: its list of files is nearly all of them. */
  readonly listBytes: number;
  /** Of each checkpoint: offset in the blob of the first whole byte. They ascend. */
  readonly inputs: Float64Array<ArrayBuffer>;
  /** Of each checkpoint: offset in the tar. They ascend. */
  readonly outputs: Float64Array<ArrayBuffer>;
  /** Of each checkpoint: how many high bits of the byte before belong here too. */
  readonly bits: Uint8Array<ArrayBuffer>;
  /** Of each checkpoint: where its window is in the file; -1: it is zeros. */
  readonly windows: Float64Array<ArrayBuffer>;
}

/** A checkpoint without its window. */
const PLACE_BYTES = CHECKPOINT_BYTES - WINDOW_BYTES;
/** Checkpoints that are read in a row: a few ms. */
const STEP = 512;

/**
 * Reads the places of a ztoc's checkpoints and nothing else of it: neither its list of files nor the windows, which
 * are nearly all of it.
 * @param turn called between two steps: others have their turn until it resolves.
 * @returns null where the layer is not gzip.
 * @throws ZtocError, and what reading the file throws
 */
export async function readPlaces(
  file: ZtocFile,
  turn: () => Promise<void>,
): Promise<CheckpointPlaces | null> {
  const reader = new FlatBufferReader(viewsOf(file));
  const root = reader.root();
  const compression = reader.child(root, ZTOC.compression);
  if (compression === null) throw new ZtocError("missing", 0, "no compression");
  const algorithm = reader.byte(
    ...[compression, COMPRESSION.algorithm, ALGORITHM.gzip] as const,
  );
  if (algorithm !== ALGORITHM.gzip) return null;
  const compressedSize = reader.int64(root, ZTOC.compressedSize);
  const uncompressedSize = reader.int64(root, ZTOC.uncompressedSize);
  const place = reader.place(compression, COMPRESSION.checkpoints);
  if (place === null) throw new ZtocError("missing", 0, "no checkpoints");
  const { at, length } = place;
  const header = new DataView(bytesOf(file, at, CHECKPOINTS_HEADER_BYTES));
  const count = header.getInt32(0, true);
  const stored = storedOf(count, length);
  if (count > MAX_CHECKPOINTS + 1) {
    throw new ZtocError("count", at, `${count} checkpoints in ${length} bytes`);
  }
  const places = {
    ...{ compressedSize, uncompressedSize, listBytes: file.size - length },
    inputs: new Float64Array(count),
    outputs: new Float64Array(count),
    bits: new Uint8Array(count),
    windows: new Float64Array(count).fill(-1),
  };
  places.inputs[0] = FIRST_IN;
  for (let i = count - stored; i < count; i++) {
    if (i % STEP === STEP - 1) await turn();
    const from = at + CHECKPOINTS_HEADER_BYTES +
      (i - count + stored) * CHECKPOINT_BYTES;
    const one = new DataView(bytesOf(file, from, PLACE_BYTES));
    places.inputs[i] = readInt64(one, 0);
    places.outputs[i] = readInt64(one, 8);
    places.bits[i] = one.getUint8(16);
    places.windows[i] = from + PLACE_BYTES;
  }
  check(places);
  return places;
}

function check(places: CheckpointPlaces): void {
  const { inputs, outputs, bits, compressedSize, uncompressedSize } = places;
  let [input, out] = [0, 0];
  const fits = inputs.every((at, i) => {
    const holds = at > input && (outputs[i]! > out ? i > 0 : out === 0) &&
      bits[i]! <= 7;
    [input, out] = [at, outputs[i]!];
    return holds;
  });
  if (fits && input <= compressedSize && out <= uncompressedSize) return;
  throw new ZtocError("order", -1, "checkpoints do not ascend in the layer");
}

function bytesOf(file: ZtocFile, at: number, length: number): ArrayBuffer {
  if (at + length > file.size) {
    throw new ZtocError("bounds", at, "it lies outside the file");
  }
  const bytes = new Uint8Array(length);
  file.read(bytes, at);
  return bytes.buffer;
}

function viewsOf(file: ZtocFile): ConstructorParameters<
  typeof FlatBufferReader
>[0] {
  const view = (at: number, length: number) =>
    new DataView(bytesOf(file, at, length));
  return {
    bytes: {
      length: file.size,
      subarray: (from = 0, to = file.size) =>
        new Uint8Array(bytesOf(file, from, to - from)),
    },
    view: {
      getUint8: (at) => view(at, 1).getUint8(0),
      getUint16: (at, little) => view(at, 2).getUint16(0, little),
      getInt32: (at, little) => view(at, 4).getInt32(0, little),
      getUint32: (at, little) => view(at, 4).getUint32(0, little),
    },
  };
}
