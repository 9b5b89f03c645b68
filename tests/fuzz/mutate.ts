/** Makes inputs out of inputs: reproducible from a seed. @module */
import { crc32, inflateRawSync } from "node:zlib";

/** Numbers from 0 up to and without `below`. */
export type Random = (below: number) => number;

/** A small generator (xorshift32): the same seed gives the same numbers. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const INTERESTING = [
  ...[0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff],
  ...[0x7fffffff, 0x80000000, 0xffffffff],
];

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

/** A place in the bytes, more often near their beginning or end, where structure tends to be. */
function place(length: number, random: Random): number {
  const near = Math.min(length, 512);
  switch (random(4)) {
    case 0:
      return random(near);
    case 1:
      return length - 1 - random(near);
    default:
      return random(length);
  }
}

function spliced(
  bytes: Uint8Array,
  at: number,
  drop: number,
  insert: Uint8Array,
): Uint8Array {
  const end = Math.min(bytes.length, at + drop);
  const out = new Uint8Array(at + insert.length + bytes.length - end);
  out.set(bytes.subarray(0, at));
  out.set(insert, at);
  out.set(bytes.subarray(end), at + insert.length);
  return out;
}

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    bytes[place(bytes.length, random)]! ^= 1 << random(8);
    return bytes;
  },
  (bytes, random) => {
    bytes[place(bytes.length, random)] = random(256);
    return bytes;
  },
  (bytes, random) => { // a number that is often a border
    const width = [1, 2, 4, 8][random(4)]!;
    const at = place(bytes.length, random);
    const value = INTERESTING[random(INTERESTING.length)]!;
    for (let i = 0; i < width && at + i < bytes.length; i++) {
      bytes[at + i] = i < 4 ? value >>> (8 * i) : value > 0x7fffffff ? 255 : 0;
    }
    return bytes;
  },
  (bytes, random) =>
    // cut
    bytes.subarray(0, random(bytes.length + 1)),
  (bytes, random) =>
    // leave some out
    spliced(
      bytes,
      place(bytes.length, random),
      1 + random(64),
      new Uint8Array(0),
    ),
  (bytes, random) => { // repeat some
    const at = place(bytes.length, random);
    const piece = bytes.slice(at, at + 1 + random(random(2) ? 64 : 2048));
    return spliced(bytes, place(bytes.length, random), 0, piece);
  },
  (bytes, random) => { // move some over others
    const at = place(bytes.length, random);
    const piece = bytes.slice(at, at + 1 + random(64));
    const to = place(bytes.length, random);
    return spliced(bytes, to, piece.length, piece);
  },
];

/** Applies one to six changes to a copy; now and then joins the halves of two inputs. */
export function mutate(
  corpus: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  const pick = () => corpus[random(corpus.length)]!;
  let bytes: Uint8Array = pick().slice();
  if (random(16) === 0) {
    const other = pick();
    const rest = other.subarray(random(other.length + 1));
    bytes = spliced(bytes, random(bytes.length + 1), bytes.length, rest);
  }
  for (let changes = 1 + random(6); changes > 0; changes--) {
    if (bytes.length === 0) break;
    const mutation = MUTATIONS[random(MUTATIONS.length)]!;
    bytes = mutation(bytes, random);
  }
  return bytes;
}

/** Makes checksum and length of a gzip file of one member with a plain header right again. */
export function repairGzip(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 18 || bytes[0] !== 0x1f || bytes[3] !== 0) return bytes;
  const body = bytes.subarray(10);
  let result: { buffer: Uint8Array; engine: { bytesWritten: number } };
  try {
    result = inflateRawSync(body, {
      info: true,
      maxOutputLength: 2 ** 22,
    }) as unknown as typeof result;
  } catch {
    return bytes; // nothing that could be mended
  }
  const { buffer, engine } = result;
  const end = 10 + engine.bytesWritten;
  const mended = new Uint8Array(end + 8);
  mended.set(bytes.subarray(0, end));
  const view = new DataView(mended.buffer);
  view.setUint32(end, crc32(buffer), true);
  view.setUint32(end + 4, buffer.length, true);
  return mended;
}

/** Makes the checksums of all blocks that look like tar headers right again. */
export function repairTarChecksums(bytes: Uint8Array): Uint8Array {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512);
    const isHeader = block[257] === 0x75 && block[258] === 0x73; // "us"
    if (!isHeader) continue;
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    new TextEncoder().encodeInto(
      `${sum.toString(8).padStart(6, "0")}\0 `,
      block.subarray(148, 156),
    );
  }
  return bytes;
}
