import { BLOCK_BYTES } from "./block.ts";
import { TarError } from "./errors.ts";
import { cString, numeric, octal } from "./fields.ts";

/** What one header block says by itself. */
export interface RawHeader {
  readonly typeflag: number;
  name: Uint8Array;
  linkname: Uint8Array;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  uname: Uint8Array;
  gname: Uint8Array;
  mtimeSeconds: number;
  devMajor: number;
  devMinor: number;
}

/** [start, end) of the fields. */
const FIELD = {
  name: [0, 100],
  mode: [100, 108],
  uid: [108, 116],
  gid: [116, 124],
  size: [124, 136],
  mtime: [136, 148],
  checksum: [148, 156],
  linkname: [157, 257],
  uname: [265, 297],
  gname: [297, 329],
  devMajor: [329, 337],
  devMinor: [337, 345],
  prefix: [345, 500],
  starPrefix: [345, 476],
  gnuAccessTime: [345, 357],
  gnuChangeTime: [357, 369],
  starAccessTime: [476, 488],
  starChangeTime: [488, 500],
} as const satisfies Record<string, readonly [number, number]>;

type Field = keyof typeof FIELD;
type Format = "v7" | "ustar" | "gnu" | "star";

const EMPTY = new Uint8Array(0);

function matches(block: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (block[at + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

function formatOf(block: Uint8Array): Format {
  if (matches(block, 257, "ustar\0")) {
    return matches(block, 508, "tar\0") ? "star" : "ustar";
  }
  return matches(block, 257, "ustar  \0") ? "gnu" : "v7";
}

/** The sum of all bytes, the checksum's own taken as spaces; Sun's tar summed signed bytes. */
function checksumFits(block: Uint8Array): boolean {
  const [start, end] = FIELD.checksum;
  const wanted = octal(block.subarray(start, end));
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  // Four bytes at a time: 128 words of two 16-bit sums each (at most 65 280), and of four counts.
  let sums = 0;
  let counts = 0;
  for (let i = 0; i < BLOCK_BYTES; i += 4) {
    const word = view.getUint32(i, true);
    sums += (word & 0x00ff00ff) + ((word >>> 8) & 0x00ff00ff);
    counts += (word >>> 7) & 0x01010101;
  }
  let unsigned = (sums % 0x10000) + Math.floor(sums / 0x10000);
  let highBytes = (counts & 0xff) + ((counts >>> 8) & 0xff) +
    ((counts >>> 16) & 0xff) + (counts >>> 24);
  for (let i = start; i < end; i++) {
    unsigned += 0x20 - block[i]!;
    if (block[i]! >= 0x80) highBytes--;
  }
  return wanted === unsigned || wanted === unsigned - 256 * highBytes;
}

/** Whether a block is all zeros; two of them end the archive. */
export function isZeroBlock(block: Uint8Array): boolean {
  for (let i = 0; i < BLOCK_BYTES; i++) if (block[i] !== 0) return false;
  return true;
}

/**
 * Reads one header block that is not all zeros.
 * @param offset where it is, for errors.
 * @throws TarError
 */
export function readHeaderBlock(block: Uint8Array, offset: number): RawHeader {
  if (!checksumFits(block)) {
    throw new TarError("header", offset, "no tar header (wrong checksum)");
  }
  const format = formatOf(block);
  const bytes = (field: Field) => block.subarray(...FIELD[field]);
  const text = (field: Field) => cString(bytes(field));
  const number = (field: Field): number => {
    const value = numeric(bytes(field));
    if (value === null) {
      throw new TarError("number", offset, `field ${field} is no number`);
    }
    return value;
  };
  const header: RawHeader = {
    typeflag: block[156]!,
    name: text("name"),
    linkname: text("linkname"),
    size: number("size"),
    mode: number("mode"),
    uid: number("uid"),
    gid: number("gid"),
    mtimeSeconds: number("mtime"),
    uname: EMPTY,
    gname: EMPTY,
    devMajor: 0,
    devMinor: 0,
  };
  if (format === "v7") return header;
  header.uname = text("uname");
  header.gname = text("gname");
  header.devMajor = number("devMajor");
  header.devMinor = number("devMinor");
  const prefix = readPrefix(format, bytes, number);
  if (prefix.length > 0) {
    const name = new Uint8Array(prefix.length + 1 + header.name.length);
    name.set(prefix);
    name[prefix.length] = 0x2f;
    name.set(header.name, prefix.length + 1);
    header.name = name;
  }
  return header;
}

function readPrefix(
  format: Exclude<Format, "v7">,
  bytes: (field: Field) => Uint8Array,
  number: (field: Field) => number,
): Uint8Array {
  switch (format) {
    case "ustar":
      return cString(bytes("prefix"));
    case "star":
      // Read only for their syntax: Go refuses the header when these are no numbers.
      number("starAccessTime");
      number("starChangeTime");
      return cString(bytes("starPrefix"));
    case "gnu": {
      // GNU headers have no prefix, but Go before 1.8 wrote one over the two times. Where those are
      // no numbers and the text is ASCII, it is taken as a prefix, as Go does to this day.
      const times = [bytes("gnuAccessTime"), bytes("gnuChangeTime")];
      if (times.every((time) => time[0] === 0 || numeric(time) !== null)) {
        return EMPTY;
      }
      const prefix = cString(bytes("prefix"));
      return prefix.every((byte) => byte < 0x80) ? prefix : EMPTY;
    }
  }
}
