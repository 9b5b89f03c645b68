import type { CheckpointPlaces } from "../../formats/ztoc/mod.ts";
import type { Units } from "../builder/mod.ts";

/** The kernel has room for so much: a unit of more is moved about. */
const UNIT_BYTES = 4.5 * 2 ** 20;
/** A Worker holds one unit. Whoever makes larger spans has no use of all cores. */
const MOST_UNIT_BYTES = 16 * 2 ** 20;
/** Before the first unit are a gzip header, and perhaps empty members. It comes with that unit, into memory. */
const MOST_HEAD_BYTES = 2 ** 20;

/** Units of a layer, and its size. */
export interface PlannedUnits extends Units {
  /** Bytes of the tar, as the ztoc has it. */
  readonly size: number;
  /** Bytes of the ztoc beside its checkpoints: about those of the layer's list of files. */
  readonly listBytes: number;
}

/**
 * Which of a ztoc's checkpoints are used: small spans are taken together.
 * @param unitBytes of the tar, up to which they are.
 * @returns null where that is of no use
 */
export function planUnits(
  places: CheckpointPlaces,
  unitBytes: number = UNIT_BYTES,
): PlannedUnits | null {
  const { inputs, outputs, bits, windows, compressedSize, listBytes } = places;
  const { uncompressedSize: size } = places;
  // Several may stand at the tar's beginning: what is before the last of them holds nothing.
  const first = outputs.findLastIndex((out) => out === 0);
  const chosen: number[] = [];
  const ends =
    (from: readonly number[] | Float64Array, end: number) => (i: number) =>
      from[i + 1] ?? end;
  const outEnd = ends(outputs, size);
  for (let i = first; i < outputs.length; i++) {
    const begun = chosen.at(-1);
    if (begun === undefined || outEnd(i) - outputs[begun]! > unitBytes) {
      chosen.push(i);
    }
  }
  const of = (all: Float64Array) => Float64Array.from(chosen, (i) => all[i]!);
  const units = {
    ...{ compressedSize, size, listBytes },
    inputs: of(inputs),
    outputs: of(outputs),
    bits: Uint8Array.from(chosen, (i) => bits[i]!),
    windows: of(windows),
  };
  const inEnd = ends(units.inputs, compressedSize);
  const unitEnd = ends(units.outputs, size);
  const isSmall = units.inputs[0]! <= MOST_HEAD_BYTES &&
    chosen.every((_, unit) =>
      inEnd(unit) - units.inputs[unit]! <= MOST_UNIT_BYTES &&
      unitEnd(unit) - units.outputs[unit]! <= MOST_UNIT_BYTES
    );
  return chosen.length > 1 && isSmall ? units : null;
}
