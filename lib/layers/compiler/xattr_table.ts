import {
  ACCESS_ACL,
  accessAcl,
  DEFAULT_ACL,
  defaultAcl,
  S,
} from "../tree/mod.ts";
import type { NameId, NameTable } from "./name_table.ts";

const ascii = (text: string) => new TextEncoder().encode(text);
const RECORD_PREFIX = ascii("SCHILY.xattr.");
const USER_PREFIX = ascii("user.");
const SECURITY_PREFIX = ascii("security.");
const CAPABILITY = ascii("security.capability");
const OPAQUE_KEY = ascii("trusted.overlay.opaque");
const OPAQUE_VALUE = ascii("y");
const ACCESS_KEY = ascii(ACCESS_ACL);
const DEFAULT_KEY = ascii(DEFAULT_ACL);
/** XATTR_NAME_MAX and XATTR_SIZE_MAX (uapi/linux/limits.h). */
const MAX_KEY_BYTES = 255;
const MAX_VALUE_BYTES = 65536;
/** Sizes of file capabilities by revision (uapi/linux/capability.h). */
const CAPABILITY_BYTES: Readonly<Record<number, number>> = { 2: 20, 3: 24 };

/** An attribute's name and value, as numbers in the name table. */
export interface XattrIds {
  readonly key: NameId;
  readonly value: NameId;
}

/**
 * Extended attributes as unpacking leaves them, for the few inodes that have any. Leaves out what
 * Linux refuses, in general or for a type of file. Also leaves out `trusted.*`, which belongs to
 * the host (overlayfs keeps its marks there).
 */
export class XattrTable {
  readonly #names: NameTable;
  readonly #rows = new Map<number, XattrIds[]>();
  readonly #capability: NameId;
  readonly #opaque: XattrIds;
  readonly #accessAcl: NameId;
  readonly #defaultAcl: NameId;

  constructor(names: NameTable) {
    this.#names = names;
    const intern = (bytes: Uint8Array) => names.put(bytes, 0, bytes.length);
    this.#capability = intern(CAPABILITY);
    this.#opaque = { key: intern(OPAQUE_KEY), value: intern(OPAQUE_VALUE) };
    this.#accessAcl = intern(ACCESS_KEY);
    this.#defaultAcl = intern(DEFAULT_KEY);
  }

  /** Whether any inode has attributes. */
  get any(): boolean {
    return this.#rows.size > 0;
  }

  /** The inodes that have attributes. */
  inodes(): Iterable<number> {
    return this.#rows.keys();
  }

  /** An inode's attributes, without duplicates. */
  of(inode: number): readonly XattrIds[] {
    return this.#rows.get(inode) ?? [];
  }

  /** Marks a directory as opaque for overlayfs: it hides what the lower layers have in it. */
  setOpaque(inode: number): void {
    this.#set(inode, this.#opaque.key, this.#opaque.value);
  }

  /** A new file (not a link) inherits its directory's default ACL. */
  inherit(inode: number, directory: number, mode: number): void {
    const acl = this.#find(directory, this.#defaultAcl);
    if (acl === undefined) return;
    this.#set(inode, this.#accessAcl, acl);
    if ((mode & S.IFMT) === S.IFDIR) this.#set(inode, this.#defaultAcl, acl);
    this.settleMode(inode, mode);
  }

  /** Sets an entry's attributes on an inode. The inode keeps its attributes with other names. */
  add(
    inode: number,
    records: Iterable<readonly [key: Uint8Array, value: Uint8Array]>,
    mode: number,
  ): void {
    for (const [record, value] of records) {
      if (!startsWith(record, RECORD_PREFIX)) continue;
      const key = record.subarray(RECORD_PREFIX.length);
      const kept = keptValue(key, value, mode);
      if (kept !== null) {
        this.#set(inode, this.#intern(key), this.#intern(kept));
      }
    }
  }

  /** Adjusts a file's access ACL after its mode was set. */
  settleMode(inode: number, mode: number): void {
    const acl = this.#find(inode, this.#accessAcl);
    if (acl === undefined) return;
    const settled = accessAcl(this.#names.view(acl), mode);
    if (settled === null) this.#delete(inode, this.#accessAcl);
    else this.#set(inode, this.#accessAcl, this.#intern(settled));
  }

  /** Removes a file's capabilities, as Linux does on every chown, even to the same owner. */
  dropCapability(inode: number): void {
    this.#delete(inode, this.#capability);
  }

  #intern(bytes: Uint8Array): NameId {
    return this.#names.put(bytes, 0, bytes.length);
  }

  #find(inode: number, key: NameId): NameId | undefined {
    return this.#rows.get(inode)?.find((one) => one.key === key)?.value;
  }

  #set(inode: number, key: NameId, value: NameId): void {
    const row = this.#rows.get(inode) ?? [];
    const at = row.findIndex((one) => one.key === key);
    if (at < 0) row.push({ key, value });
    else row[at] = { key, value };
    this.#rows.set(inode, row);
  }

  #delete(inode: number, key: NameId): void {
    const row = this.#rows.get(inode);
    if (row === undefined) return;
    const left = row.filter((one) => one.key !== key);
    if (left.length === 0) this.#rows.delete(inode);
    else this.#rows.set(inode, left);
  }
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  if (bytes.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) {
    if (bytes[i] !== prefix[i]) return false;
  }
  return true;
}

const equal = (a: Uint8Array, b: Uint8Array) =>
  a.length === b.length && startsWith(a, b);

/** The value that a file of this type and mode keeps of an attribute; null if it cannot have it. */
function keptValue(
  key: Uint8Array,
  value: Uint8Array,
  mode: number,
): Uint8Array | null {
  if (key.length > MAX_KEY_BYTES || value.length > MAX_VALUE_BYTES) return null;
  const type = mode & S.IFMT;
  if (startsWith(key, USER_PREFIX)) {
    const can = type === S.IFREG || type === S.IFDIR;
    return can && key.length > USER_PREFIX.length ? value : null;
  }
  if (equal(key, CAPABILITY)) return isCapability(value) ? value : null;
  if (startsWith(key, SECURITY_PREFIX)) {
    return key.length > SECURITY_PREFIX.length ? value : null;
  }
  if (equal(key, ACCESS_KEY)) {
    return type === S.IFLNK ? null : accessAcl(value, mode);
  }
  if (equal(key, DEFAULT_KEY)) {
    return type === S.IFDIR ? defaultAcl(value) : null;
  }
  return null;
}

function isCapability(value: Uint8Array): boolean {
  return value.length >= 4 &&
    CAPABILITY_BYTES[value[3] as number] === value.length;
}
