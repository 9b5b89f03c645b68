import { Buffer } from "node:buffer";
import type { Ztoc } from "../ztoc/mod.ts";

const utf8 = new TextEncoder();
const XATTR_PREFIX = utf8.encode("SCHILY.xattr.");
const OPAQUE_MARKER = utf8.encode(".wh..wh..opq");

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, prefix.length), prefix) === 0;
}

/**
 * Whether no file of a layer has extended attributes, so that the kernel need never ask. An opaque
 * directory counts as having one: that is how it is shown to overlayfs.
 */
export function hasNoXattrs({ entries }: Ztoc): boolean {
  return entries.every(({ name, xattrs }) =>
    !xattrs.some(([key]) => startsWith(key, XATTR_PREFIX)) &&
    !(name.length >= OPAQUE_MARKER.length &&
      startsWith(name.subarray(-OPAQUE_MARKER.length), OPAQUE_MARKER))
  );
}
