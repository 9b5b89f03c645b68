/** Numbers and names of one header block. */
export interface HeaderFields {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size: number;
  readonly mtimeSeconds?: number;
  readonly linkname?: Uint8Array;
  readonly uname?: Uint8Array;
  readonly gname?: Uint8Array;
  readonly devMajor?: number;
  readonly devMinor?: number;
}

const encoder = new TextEncoder();
const SLASH = 0x2f;

/**
 * One 512-byte header. A field that does not fit is passed to `tooLarge` with its PAX key, and is
 * truncated or zero in the header.
 */
export function ustarHeader(options: {
  name: Uint8Array;
  flag: string;
  fields: HeaderFields;
  magic: "ustar" | "gnu";
  tooLarge: (paxKey: string, value: string | Uint8Array) => void;
}): Uint8Array {
  const { name, flag, fields, magic, tooLarge } = options;
  const block = new Uint8Array(512);

  const text = (
    at: number,
    width: number,
    value: Uint8Array | undefined,
    key: string,
  ) => {
    if (value === undefined) return;
    if (value.length > width) tooLarge(key, value);
    block.set(value.subarray(0, width), at);
  };
  const number = (
    at: number,
    width: number,
    value: number | undefined,
    key: string,
  ) => {
    const wanted = value ?? 0;
    if (wanted >= 0 && wanted < 8 ** (width - 1)) {
      octal(block, at, width, wanted);
    } else if (magic === "gnu") {
      base256(block, at, width, wanted);
    } else {
      tooLarge(key, String(wanted));
      octal(block, at, width, 0);
    }
  };

  const split = magic === "ustar" ? splitName(name) : { name };
  if (split === undefined) tooLarge("path", name);
  block.set((split?.name ?? name).subarray(0, 100), 0);
  if (split?.prefix !== undefined) block.set(split.prefix, 345);
  number(100, 8, fields.mode, "mode");
  number(108, 8, fields.uid, "uid");
  number(116, 8, fields.gid, "gid");
  number(124, 12, fields.size, "size");
  number(136, 12, fields.mtimeSeconds, "mtime");
  block[156] = flag.charCodeAt(0);
  text(157, 100, fields.linkname, "linkpath");
  block.set(encoder.encode(magic === "gnu" ? "ustar  \0" : "ustar\x0000"), 257);
  text(265, 32, fields.uname, "uname");
  text(297, 32, fields.gname, "gname");
  number(329, 8, fields.devMajor, "SCHILY.devmajor");
  number(337, 8, fields.devMinor, "SCHILY.devminor");

  block.fill(0x20, 148, 156); // the checksum is computed with its own field as spaces
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(encoder.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

/**
 * Splits a name over 100 bytes at a slash into prefix and name, as in ustar; undefined if it cannot
 * be split.
 */
function splitName(
  name: Uint8Array,
): { name: Uint8Array; prefix?: Uint8Array } | undefined {
  if (name.length <= 100) return { name };
  for (let at = Math.min(155, name.length - 2); at > 0; at--) {
    if (name[at] !== SLASH) continue;
    if (name.length - at - 1 > 100) return undefined;
    return { name: name.subarray(at + 1), prefix: name.subarray(0, at) };
  }
  return undefined;
}

function octal(block: Uint8Array, at: number, width: number, value: number) {
  block.set(
    encoder.encode(`${value.toString(8).padStart(width - 1, "0")}\0`),
    at,
  );
}

/** GNU base 256: two's complement, big-endian, with the top bit of the first byte set. */
function base256(block: Uint8Array, at: number, width: number, value: number) {
  let rest = BigInt(value);
  for (let i = width - 1; i >= 0; i--) {
    block[at + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  block[at]! |= 0x80;
}
