import { TarError } from "./errors.ts";

/** One PAX record; the key is kept as text of one character a byte, so that it can be looked up. */
export interface PaxRecord {
  readonly key: string;
  readonly keyBytes: Uint8Array;
  readonly value: Uint8Array;
}

const SPARSE_PREFIX = new TextEncoder().encode("GNU.sparse.");
const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;
/** String fields of the header, in which a NUL would cut the text for other readers. */
const STRING_KEYS = new Set(["path", "linkpath", "uname", "gname"]);

/** Bytes as text of one character a byte: enough for keys and numbers, loses nothing. */
export function byteText(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return text;
}

/**
 * Whether a record is of GNU's sparse formats: the tar does not hold the file's bytes as they are read,
 * so offsets would be wrong.
 */
export function isSparseKey(key: Uint8Array): boolean {
  if (key.length < SPARSE_PREFIX.length) return false;
  for (let i = 0; i < SPARSE_PREFIX.length; i++) {
    if (key[i] !== SPARSE_PREFIX[i]) return false;
  }
  return true;
}

/**
 * Reads the records `<length> <key>=<value>\n` of a PAX header. The records' bytes are views of
 * `data`.
 * @param offset where the header block is, for errors.
 * @throws TarError
 */
export function parsePax(
  data: Uint8Array,
  offset: number,
): Map<string, PaxRecord> {
  const fail = (detail: string): never => {
    throw new TarError("pax", offset, `PAX header: ${detail}`);
  };
  const records = new Map<string, PaxRecord>();
  for (let at = 0; at < data.length;) {
    // The length has at most 7 digits in a header of 1 MiB; leading zeros are allowed a few more.
    const space = data.subarray(at, at + 20).indexOf(SPACE);
    const digits = byteText(data.subarray(at, at + Math.max(space, 0)));
    if (!/^\+?[0-9]+$/.test(digits)) fail("a record has no length");
    const length = Number(digits);
    if (length < 5 || length <= space + 1 || length > data.length - at) {
      fail(`a record says ${digits} bytes`);
    }
    const record = data.subarray(at + space + 1, at + length - 1);
    if (data[at + length - 1] !== NEWLINE) {
      fail("a record ends without a newline");
    }
    const equals = record.indexOf(EQUALS);
    if (equals <= 0) fail("a record has no key");
    const keyBytes = record.subarray(0, equals);
    const value = record.subarray(equals + 1);
    const key = byteText(keyBytes);
    if ((STRING_KEYS.has(key) ? value : keyBytes).includes(0)) {
      fail("a record holds a NUL");
    }
    if (isSparseKey(keyBytes)) {
      throw new TarError("sparse", offset, "sparse file (PAX GNU.sparse)");
    }
    records.set(key, { key, keyBytes, value });
    at += length;
  }
  return records;
}

/** Records in the order of their keys' bytes, as the ztoc lists them. */
export function sortedRecords(
  records: ReadonlyMap<string, PaxRecord>,
): Array<[Uint8Array, Uint8Array]> {
  return [...records.values()]
    .sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    .map(({ keyBytes, value }) => [keyBytes, value]);
}
