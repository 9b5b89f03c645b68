/** What an entry makes, named as the ztoc names it. */
export type TarEntryType =
  | "reg"
  | "dir"
  | "symlink"
  | "hardlink"
  | "char"
  | "block"
  | "fifo";

/** The typeflag of each in a ustar header (POSIX.1-1988). */
export const TYPE_FLAG: Readonly<Record<TarEntryType, string>> = {
  reg: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  dir: "5",
  fifo: "6",
};

/** A point in time; `nanos` counts forward from `seconds` and is in [0, 10^9). */
export interface TarTime {
  /** Seconds since 1970, may be negative. */
  readonly seconds: number;
  /** What is to be added to `seconds`, in [0, 10^9). */
  readonly nanos: number;
}

/** One entry, PAX and GNU extensions merged in. Names are raw bytes, not cleaned, maybe not UTF-8. */
export interface TarEntry {
  /** The path as it stands in the archive. */
  readonly name: Uint8Array;
  /** What the entry makes. */
  readonly type: TarEntryType;
  /** Target of a symbolic or hard link; otherwise whatever the header holds. */
  readonly linkname: Uint8Array;
  /** Where the file's data begins in the tar. */
  readonly offset: number;
  /**
   * Where the entry's first header block begins (the PAX or GNU one, when there is one). It is where the
   * data before it ended, unless something was skipped in between.
   */
  readonly headerOffset: number;
  /** Bytes of data; 0 for everything but regular files, whatever the header says. */
  readonly size: number;
  /** The header's mode field as it stands. */
  readonly mode: number;
  /** Owner as the archive numbers it. */
  readonly uid: number;
  /** Group as the archive numbers it. */
  readonly gid: number;
  /** Owner's name; empty where it is not said. */
  readonly uname: Uint8Array;
  /** Group's name; empty where it is not said. */
  readonly gname: Uint8Array;
  /** When the file was changed; to the nanosecond only where PAX says so. */
  readonly mtime: TarTime;
  /** Of a device: the major number. */
  readonly devMajor: number;
  /** Of a device: the minor number. */
  readonly devMinor: number;
  /** Every PAX record of the entry, sorted by key; of equal keys the last. */
  readonly pax: ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array]>;
}

/** The most bytes of one PAX header or GNU long name, as in Go and libarchive. */
export const MAX_EXTENSION_BYTES = 2 ** 20;

/** The most bytes of a name or link target; Linux takes 4095 in one call. */
export const MAX_PATH_BYTES = 2 ** 16;
