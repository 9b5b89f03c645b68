import { crc32 } from "node:zlib";

/** Most bytes of a name or a comment; with its extra field no header is over 200 KB. */
const MAX_TEXT_BYTES = 65536;

const MAGIC = [0x1f, 0x8b] as const;
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const RESERVED = 0xe0;
const METHOD_DEFLATE = 8;

/**
 * Whether what follows a member may be another one. Else it is no part of the stream: gzip takes zeros
 * and any other bytes that do not begin as a member does for the end, and so do we.
 * @param bytes at least one.
 */
export function mayBeginMember(bytes: Uint8Array): boolean {
  return bytes[0] === MAGIC[0] &&
    (bytes.length === 1 || bytes[1] === MAGIC[1]);
}

/**
 * Reads a gzip header (RFC 1952, 2.3) at the beginning of `bytes`.
 * @returns its length; 0 when more bytes are needed; or what is wrong with it.
 */
export function parseGzipHeader(bytes: Uint8Array): number | string {
  const length = bytes.length;
  if (length > 0 && bytes[0] !== MAGIC[0]) return "no gzip header";
  if (length > 1 && bytes[1] !== MAGIC[1]) return "no gzip header";
  if (length > 2 && bytes[2] !== METHOD_DEFLATE) return "unknown method";
  if (length > 3 && ((bytes[3] as number) & RESERVED) !== 0) {
    return "reserved flags are set";
  }
  if (length < 10) return 0;
  const flags = bytes[3] as number;
  let at = 10;
  if (flags & FEXTRA) {
    if (length < at + 2) return 0;
    at += 2 + ((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
  }
  for (const text of [FNAME, FCOMMENT]) {
    if (!(flags & text)) continue;
    if (at >= length) return 0;
    const end = bytes.indexOf(0, at);
    if ((end < 0 ? length : end) - at > MAX_TEXT_BYTES) {
      return "name or comment is over 64 KiB";
    }
    if (end < 0) return 0;
    at = end + 1;
  }
  if (flags & FHCRC) {
    if (length < at + 2) return 0;
    const said = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    if (said !== (crc32(bytes.subarray(0, at)) & 0xffff)) {
      return "header checksum is wrong";
    }
    at += 2;
  }
  return at <= length ? at : 0;
}
