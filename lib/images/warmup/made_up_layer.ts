import { constants, deflateRawSync } from "node:zlib";
import { crc32 } from "../../formats/crc32/mod.ts";
import {
  type Descriptor,
  type Digest,
  DigestStream,
  MEDIA,
  sha256,
} from "../../formats/oci/mod.ts";
import { BLOCK_BYTES, TYPE_FLAG, wholeBlocks } from "../../formats/tar/mod.ts";

/** Files of one part, and parts of a layer: enough that code which runs once per file is compiled to machine code. */
const FILES = 640;
const PARTS = 16;
const FILES_PER_DIRECTORY = 16;
/** Few are large, as in images. */
const MOST_FILE_BYTES = 2 * 1024;
/** More do not fit into a header's field. */
const NAME_BYTES = 100;
const LONG_NAME = "a-folder-with-a-name-of-some-length-".repeat(2);
/** What deflate looks back at (RFC 1951). */
const WINDOW_BYTES = 2 ** 15;
/** A gzip header without anything (RFC 1952), and deflate's last block, which is empty. */
const GZIP_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
const LAST_BLOCK = Uint8Array.of(3, 0);

/** A layer of nobody. */
export interface MadeUpLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** The blob. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Makes a gzip layer of many small files, directories, links and PAX headers: a part of a tar, some times over, each of
 * which looks back into the one before.
 * @param pause called between steps of some ms.
 */
export async function madeUpLayer(
  pause: () => Promise<void>,
): Promise<MadeUpLayer> {
  const part = tarPart();
  const packed = (dictionary?: Uint8Array) =>
    deflateRawSync(part, {
      ...{ level: 1, finishFlush: constants.Z_SYNC_FLUSH },
      ...(dictionary && { dictionary }),
    });
  await pause();
  const first = packed();
  await pause();
  const next = packed(part.subarray(-WINDOW_BYTES));
  const diffId = new DigestStream();
  const end = new Uint8Array(2 * BLOCK_BYTES);
  let crc = 0;
  for (let at = 0; at < PARTS; at++) {
    await pause();
    diffId.update(part);
    crc = crc32(part, crc);
  }
  diffId.update(end);
  const trailer = new DataView(new ArrayBuffer(8));
  trailer.setUint32(0, crc32(end, crc), true);
  trailer.setUint32(4, PARTS * part.length + end.length, true);
  const bytes = concat([
    GZIP_HEADER,
    first,
    ...new Array<Uint8Array>(PARTS - 1).fill(next),
    deflateRawSync(end, { finishFlush: constants.Z_SYNC_FLUSH }),
    LAST_BLOCK,
    new Uint8Array(trailer.buffer),
  ]);
  return {
    descriptor: {
      mediaType: MEDIA.ociLayerGzip,
      digest: sha256(bytes),
      size: bytes.length,
    },
    diffId: diffId.finish(),
    bytes,
  };
}

/** What deflate makes a third of. */
function madeUpText(bytes: number): Uint8Array {
  const text = new Uint8Array(bytes);
  for (let at = 0, random = 1; at < bytes; at++) {
    if (at % 8 === 0) random = random * 48271 % 0x7fffffff;
    text[at] = 32 + (random >> at % 8) % 64;
  }
  return text;
}

/** Some hundred entries as images have them. */
function tarPart(): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = [];
  let random = 1;
  const next = () => random = random * 48271 % 0x7fffffff; // Lehmer's
  const text = madeUpText(32 * (MOST_FILE_BYTES + FILES));
  for (let file = 0; file < FILES; file++) {
    const entry = (of: Header) => header(of, file % 4 > 1);
    const number = Math.floor(file / FILES_PER_DIRECTORY);
    const directory = number % 4 === 3
      ? `usr/lib/python3/dist-packages/package-${number}/${LONG_NAME}`
      : `usr/share/doc/package-${number}`;
    if (file % FILES_PER_DIRECTORY === 0) {
      blocks.push(entry({ name: `${directory}/`, flag: TYPE_FLAG.dir }));
    }
    const name = `${directory}/file-${file}`;
    switch (file % 16) {
      case 1:
        blocks.push(
          entry({ name, flag: TYPE_FLAG.symlink, target: `file-${file - 1}` }),
        );
        continue;
      case 3:
        blocks.push(
          entry({
            ...{ name, flag: TYPE_FLAG.symlink },
            target: `../package-${number}/${LONG_NAME}/file-${file + 2}`,
          }),
        );
        continue;
      case 5:
        if (directory.endsWith(LONG_NAME)) break; // a target's field is short
        blocks.push(
          entry({
            ...{ name, flag: TYPE_FLAG.hardlink },
            target: `${directory}/file-${file - 1}`,
          }),
        );
        continue;
      case 7: {
        const records = concat([
          paxRecord("atime", "1700000000.5"),
          paxRecord("mtime", "1700000000.123456789"),
          paxRecord("SCHILY.xattr.user.made-up", "value"),
        ]);
        blocks.push(
          entry({ name: "pax", flag: "x", size: records.length }),
          padded(records),
        );
        break;
      }
      case 9:
        if (file % 64 !== 9) break;
        blocks.push(
          entry({
            name: `${directory}/.wh.gone-${file}`,
            flag: TYPE_FLAG.reg,
          }),
        );
    }
    const size = next() % 64 === 0
      ? 32 * MOST_FILE_BYTES
      : random % MOST_FILE_BYTES;
    const content = text.subarray(file * 16, file * 16 + size);
    blocks.push(entry({ name, flag: TYPE_FLAG.reg, size }), padded(content));
  }
  return concat(blocks);
}

/** `length key=value` (pax(1)); the length counts itself. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = ` ${key}=${value}\n`;
  return new TextEncoder().encode(`${rest.length + 2}${rest}`); // of two digits
}

/** What a header says. */
interface Header {
  readonly name: string;
  readonly flag: string;
  readonly size?: number;
  readonly target?: string;
}

/** A header by the ways of POSIX.1-1988 and of GNU tar in turns, which differ in names that are too long for it. */
function header(of: Header, isGnu: boolean): Uint8Array {
  const { name, flag, size = 0, target = "" } = of;
  const block = new Uint8Array(BLOCK_BYTES);
  const text = (at: number, value: string) =>
    void new TextEncoder().encodeInto(value, block.subarray(at));
  const octal = (at: number, digits: number, value: number) =>
    text(at, value.toString(8).padStart(digits, "0"));
  const isLong = name.length > NAME_BYTES;
  const slash = isLong && !isGnu ? name.lastIndexOf("/", name.length - 2) : -1;
  const owner = size % 3 === 0 ? 0 : 33; // who has no name
  text(0, name.slice(slash + 1).slice(0, NAME_BYTES));
  octal(100, 7, flag === TYPE_FLAG.dir ? 0o755 : size % 5 ? 0o644 : 0o4755);
  octal(108, 7, owner);
  octal(116, 7, owner);
  octal(124, 11, size);
  octal(136, 11, 1_700_000_000 - 86_399 * (size % 4096));
  text(148, " ".repeat(8));
  text(156, flag);
  text(157, target.slice(0, NAME_BYTES));
  text(257, isGnu ? "ustar  \u0000" : "ustar\u000000");
  if (owner === 0) {
    text(265, "root");
    text(297, "root");
  }
  if (!isGnu) text(345, name.slice(0, Math.max(0, slash)));
  octal(148, 6, block.reduce((sum, byte) => sum + byte, 0));
  block[154] = 0;
  if (!isGnu || !isLong) return block;
  const whole = new TextEncoder().encode(`${name}\0`);
  return concat([
    header({ name: "long", flag: "L", size: whole.length }, true),
    padded(whole),
    block,
  ]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(wholeBlocks(bytes.length));
  whole.set(bytes);
  return whole;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
