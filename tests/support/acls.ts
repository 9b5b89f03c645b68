/** POSIX ACLs as attributes hold them (uapi/linux/posix_acl_xattr.h). @module */

/** In place of an ID where a tag needs none. */
export const NO_ID = 0xffff_ffff;

/** An ACL of entries: tag, permissions, ID. */
export function acl(
  ...entries: readonly (readonly [number, number, number])[]
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 + entries.length * 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 2, true);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    view.setUint16(4 + i * 8, tag, true);
    view.setUint16(6 + i * 8, permissions, true);
    view.setUint32(8 + i * 8, id, true);
  }
  return bytes;
}
