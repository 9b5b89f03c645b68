import {
  MAX_XATTR_VALUE_BYTES,
  MAX_XATTRS_BYTES,
  XATTR_ENTRY_BYTES,
  XATTR_HEADER_BYTES,
} from "./format.ts";
import type { ErofsTree } from "./tree.ts";

const encoder = new TextEncoder();

/** A name the format knows: a number stands for the prefix (`EROFS_XATTR_INDEX_*`). */
interface Prefix {
  readonly bytes: Uint8Array;
  readonly index: number;
  /** The whole name is the prefix. */
  readonly exact: boolean;
}

const prefix = (text: string, index: number, exact = false): Prefix => ({
  bytes: encoder.encode(text),
  index,
  exact,
});

const PREFIXES: readonly Prefix[] = [
  prefix("user.", 1),
  prefix("system.posix_acl_access", 2, true),
  prefix("system.posix_acl_default", 3, true),
  prefix("trusted.", 4),
  prefix("security.", 6),
];
const ACLS = new Set([2, 3]);

/** Version of the attribute's ACL format, its header and entry (uapi/linux/posix_acl_xattr.h). */
const ACL_VERSION = 2;
const ACL_HEADER_BYTES = 4;
const ACL_ENTRY_BYTES = 8;
const ACL_TAGS = new Set([0x01, 0x02, 0x04, 0x08, 0x10, 0x20]);

/**
 * How an attribute is stored. Null for an attribute that Linux's disk file systems would not accept from
 * an archive either: an unknown name space, or an invalid ACL (which would make every access to the file
 * fail).
 */
function storedPrefix(key: Uint8Array, value: Uint8Array): Prefix | null {
  const found = PREFIXES.find(({ bytes, exact }) =>
    (exact ? key.length === bytes.length : key.length > bytes.length) &&
    bytes.every((byte, i) => key[i] === byte)
  );
  if (found === undefined) return null;
  return ACLS.has(found.index) && !isAcl(value) ? null : found;
}

function isAcl(value: Uint8Array): boolean {
  if (
    value.length < ACL_HEADER_BYTES ||
    (value.length - ACL_HEADER_BYTES) % ACL_ENTRY_BYTES !== 0
  ) return false;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  if (view.getUint32(0, true) !== ACL_VERSION) return false;
  for (let at = ACL_HEADER_BYTES; at < value.length; at += ACL_ENTRY_BYTES) {
    if (!ACL_TAGS.has(view.getUint16(at, true))) return false;
  }
  return true;
}

const entryBytes = (nameBytes: number, valueBytes: number) =>
  (XATTR_ENTRY_BYTES + nameBytes + valueBytes + 3) & ~3;

/**
 * Bytes an inode's attributes take in the image, a multiple of 4; 0 without any.
 * @returns a text when they are too large for the format.
 */
export function xattrBytes(tree: ErofsTree, inode: number): number | string {
  const count = tree.xattrCount(inode);
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const key = tree.xattrKey(inode, i);
    const value = tree.xattrValue(inode, i);
    const found = storedPrefix(key, value);
    if (found === null) continue;
    if (value.length > MAX_XATTR_VALUE_BYTES) {
      return `an attribute of ${value.length} bytes`;
    }
    bytes += entryBytes(key.length - found.bytes.length, value.length);
  }
  if (bytes === 0) return 0;
  bytes += XATTR_HEADER_BYTES;
  return bytes > MAX_XATTRS_BYTES ? `attributes of ${bytes} bytes` : bytes;
}

/** Writes what `xattrBytes` measured, at `at`. */
export function writeXattrs(
  tree: ErofsTree,
  inode: number,
  image: Uint8Array,
  at: number,
): void {
  let position = at + XATTR_HEADER_BYTES; // no filter, no shared attributes: zeros
  const count = tree.xattrCount(inode);
  for (let i = 0; i < count; i++) {
    const key = tree.xattrKey(inode, i);
    const value = tree.xattrValue(inode, i);
    const found = storedPrefix(key, value);
    if (found === null) continue;
    const name = key.subarray(found.bytes.length);
    image[position] = name.length;
    image[position + 1] = found.index;
    image[position + 2] = value.length & 0xff;
    image[position + 3] = value.length >> 8;
    image.set(name, position + XATTR_ENTRY_BYTES);
    image.set(value, position + XATTR_ENTRY_BYTES + name.length);
    position += entryBytes(name.length, value.length);
  }
}
