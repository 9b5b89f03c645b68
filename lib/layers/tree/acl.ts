/**
 * POSIX ACLs in the format of extended attributes (uapi/linux/posix_acl_xattr.h): a version, then
 * entries of tag, permissions and ID. This code does what a Linux file system does when an archive
 * is unpacked. It drops an ACL that is invalid, and one that says no more than the mode. When the
 * mode is set, the ACL's matching entries are set too.
 * @module
 */

/** The attribute with a file's access ACL. */
export const ACCESS_ACL = "system.posix_acl_access";
/** The attribute with a directory's default ACL, which new files in it inherit. */
export const DEFAULT_ACL = "system.posix_acl_default";

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const NO_ID = 0xffff_ffff;

const TAG = {
  owner: 0x01,
  user: 0x02,
  owningGroup: 0x04,
  group: 0x08,
  mask: 0x10,
  other: 0x20,
} as const;

interface AclEntry {
  readonly tag: number;
  permissions: number;
  readonly id: number;
}

/** Which tags may follow which, as in `posix_acl_valid` (fs/posix_acl.c). */
type State = "owner" | "users" | "groups" | "other" | "end";
const STEPS: Readonly<Record<State, Readonly<Record<number, State>>>> = {
  owner: { [TAG.owner]: "users" },
  users: { [TAG.user]: "users", [TAG.owningGroup]: "groups" },
  groups: {
    [TAG.group]: "groups",
    [TAG.mask]: "other",
    [TAG.other]: "end",
  },
  other: { [TAG.other]: "end" },
  end: {},
};

/** Parses the entries; null if the kernel would refuse them. */
function parse(value: Uint8Array): AclEntry[] | null {
  if (
    value.length <= HEADER_BYTES ||
    (value.length - HEADER_BYTES) % ENTRY_BYTES !== 0
  ) return null;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  if (view.getUint32(0, true) !== VERSION) return null;
  const entries: AclEntry[] = [];
  let state: State = "owner";
  let named = false;
  let masked = false;
  for (let at = HEADER_BYTES; at < value.length; at += ENTRY_BYTES) {
    const tag = view.getUint16(at, true);
    const permissions = view.getUint16(at + 2, true);
    const next: State | undefined = STEPS[state][tag];
    if (next === undefined || permissions > 7) return null;
    const isNamed = tag === TAG.user || tag === TAG.group;
    const id = isNamed ? view.getUint32(at + 4, true) : NO_ID;
    if (isNamed && id === NO_ID) return null;
    named ||= isNamed;
    masked ||= tag === TAG.mask;
    entries.push({ tag, permissions, id });
    state = next;
  }
  return state === "end" && (masked || !named) ? entries : null;
}

function encode(entries: readonly AclEntry[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + entries.length * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION, true);
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    const at = HEADER_BYTES + i * ENTRY_BYTES;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, permissions, true);
    view.setUint32(at + 4, id, true);
  }
  return bytes;
}

/** The default ACL to store; null if it is invalid. */
export function defaultAcl(value: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const entries = parse(value);
  return entries === null ? null : encode(entries);
}

/**
 * The access ACL of a file that gets this mode. The mode sets the entries of the owner and of
 * others. It also sets the mask, or the owning group's entry if there is no mask. A new file's ACL
 * is made from its directory's default ACL in the same way. Null if the ACL is invalid or says no
 * more than the mode.
 */
export function accessAcl(
  value: Uint8Array,
  mode: number,
): Uint8Array<ArrayBuffer> | null {
  const entries = parse(value);
  if (entries === null) return null;
  const beyondMode = TAG.user | TAG.group | TAG.mask;
  if (!entries.some(({ tag }) => (tag & beyondMode) !== 0)) return null;
  const masked = entries.some(({ tag }) => tag === TAG.mask);
  for (const entry of entries) {
    if (entry.tag === TAG.owner) entry.permissions = (mode >> 6) & 7;
    else if (entry.tag === TAG.other) entry.permissions = mode & 7;
    else if (entry.tag === (masked ? TAG.mask : TAG.owningGroup)) {
      entry.permissions = (mode >> 3) & 7;
    }
  }
  return encode(entries);
}
