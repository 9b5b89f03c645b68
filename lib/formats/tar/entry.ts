/** What an entry makes, named as the ztoc names it. */
export type TarEntryType =
  | "reg"
  | "dir"
  | "symlink"
  | "hardlink"
  | "char"
  | "block"
  | "fifo";

/** A point in time; `nanos` counts forward from `seconds` and is in [0, 10^9). */
export interface TarTime {
  /** Seconds since 1970, may be negative. */
  readonly seconds: number;
  readonly nanos: number;
}

/** One entry, PAX and GNU extensions merged in. Names are raw bytes, not cleaned, maybe not UTF-8. */
export interface TarEntry {
  readonly name: Uint8Array;
  readonly type: TarEntryType;
  readonly linkname: Uint8Array;
  /** Where the file's data begins in the tar. */
  readonly offset: number;
  /**
   * Where the entry's first header block begins (the PAX or GNU one, when there is one). It is where
   * the data before it ended, unless something was passed over in between.
   */
  readonly headerOffset: number;
  /** Bytes of data; 0 for everything but regular files, whatever the header says. */
  readonly size: number;
  /** The header's mode field as it stands. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
  readonly mtime: TarTime;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Every PAX record of the entry, sorted by key; of equal keys the last. */
  readonly pax: ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array]>;
}

/** The most bytes of one PAX header or GNU long name, as in Go and libarchive. */
export const MAX_EXTENSION_BYTES = 2 ** 20;

/** The most bytes of a name or link target; Linux takes 4095 in one call. */
export const MAX_PATH_BYTES = 2 ** 16;
