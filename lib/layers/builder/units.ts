import { Buffer } from "node:buffer";
import type { Digest } from "../../formats/oci/mod.ts";

/**
 * Pieces of a gzip layer that are inflated by themselves, all of them together. Nothing of it is proven before the
 * digests of the whole are.
 */
export interface Units {
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Of each: offset in the blob of its first whole byte. */
  readonly inputs: Float64Array;
  /** Of each: offset in the tar. */
  readonly outputs: Float64Array;
  /** Of each: how many high bits of the byte before belong to it. */
  readonly bits: Uint8Array;
  /** Of each: where its window is in the file of the ztoc that tells them; -1: it is zeros. */
  readonly windows: Float64Array;
}

/** Where the files of such a layer are. */
export interface ComingFiles {
  /** The tar comes into it. */
  readonly data: string;
  /** The ztoc that tells the units. */
  readonly ztoc: string;
}

/** A layer whose units others inflate, in memory that isolates share. It can be posted. */
export interface ComingLayer {
  /** Where they are. */
  readonly units: Units;
  /** Paths. */
  readonly files: ComingFiles;
  /** How many units are there, from the first one on; a state; and a doorbell. */
  readonly control: SharedArrayBuffer;
  /** Of each unit that is there: SHA-256 of its bytes in the blob. */
  readonly digests: SharedArrayBuffer;
  /** One number: where the last unit ends, with all behind the tar. */
  readonly end: SharedArrayBuffer;
}

const HERE = 0;
/** 0, or `GIVEN_UP`. */
const STATE = 1;
const BELL = 2;
const WORDS = 3;
const GIVEN_UP = 1;
const DIGEST_BYTES = 32;

/** A layer of which nothing is there yet. */
export function comingLayer(
  units: Units,
  files: ComingFiles,
): ComingLayer {
  const { length } = units.inputs;
  return {
    ...{ units, files },
    control: new SharedArrayBuffer(4 * WORDS),
    digests: new SharedArrayBuffer(DIGEST_BYTES * length),
    end: new SharedArrayBuffer(8),
  };
}

/** The end of whoever inflates. */
export class UnitsWriter {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #digests: Uint8Array<SharedArrayBuffer>;
  readonly #end: Float64Array<SharedArrayBuffer>;
  readonly #isHere: Uint8Array;
  #here = 0;

  /** Nothing is there yet. */
  constructor({ control, digests, end, units }: ComingLayer) {
    this.#control = new Int32Array(control);
    this.#digests = new Uint8Array(digests);
    this.#end = new Float64Array(end);
    this.#isHere = new Uint8Array(units.inputs.length);
  }

  /** A unit is in the file. @param end where it ends there. */
  came(unit: number, digest: Uint8Array, end: number): void {
    this.#digests.set(digest.subarray(0, DIGEST_BYTES), unit * DIGEST_BYTES);
    if (unit === this.#isHere.length - 1) this.#end[0] = end;
    this.#isHere[unit] = 1;
    while (this.#isHere[this.#here] === 1) this.#here++;
    Atomics.store(this.#control, HERE, this.#here);
    this.#ring();
  }

  /** Whether nothing more is wanted. */
  get isGivenUp(): boolean {
    return Atomics.load(this.#control, STATE) === GIVEN_UP;
  }

  /** Nothing more comes: the reader must discard what it got. */
  giveUp(): void {
    Atomics.store(this.#control, STATE, GIVEN_UP);
    this.#ring();
  }

  #ring(): void {
    Atomics.add(this.#control, BELL, 1);
    Atomics.notify(this.#control, BELL);
  }
}

/** The end of whoever reads them in order. */
export class UnitsReader {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #coming: ComingLayer;

  /** Reads what the other end tells. */
  constructor(coming: ComingLayer) {
    this.#control = new Int32Array(coming.control);
    this.#coming = coming;
  }

  /** Blocks until a unit is there, and all before it. @returns false where it was given up. */
  wait(unit: number): boolean {
    for (;;) {
      const bell = Atomics.load(this.#control, BELL);
      if (Atomics.load(this.#control, STATE) === GIVEN_UP) return false;
      if (Atomics.load(this.#control, HERE) > unit) return true;
      Atomics.wait(this.#control, BELL, bell);
    }
  }

  /** Where a unit that is there ends in the tar; of the last one, with all behind that. */
  end(unit: number): number {
    const { units: { outputs }, end } = this.#coming;
    return outputs[unit + 1] ?? new Float64Array(end)[0]!;
  }

  /** Of all units. */
  digests(): Digest[] {
    const all = new Uint8Array(this.#coming.digests).slice();
    return Array.from(
      { length: this.#coming.units.inputs.length },
      (_, unit) =>
        `sha256:${
          Buffer.from(all.buffer, unit * DIGEST_BYTES, DIGEST_BYTES)
            .toString("hex")
        }` as Digest,
    );
  }
}
