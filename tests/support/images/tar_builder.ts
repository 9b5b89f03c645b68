import { type HeaderFields, ustarHeader } from "./tar_header.ts";
import { paxRecords } from "./pax.ts";

/** A name as text, or as raw bytes. */
export type RawName = string | Uint8Array;

/** A moment before or after 1970; `nanos` always counts forward from `seconds`. */
export interface TarTime {
  readonly seconds: number;
  readonly nanos: number;
}

/** Metadata of an entry. Default: zero or empty. */
export interface EntryOptions {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly uname?: RawName;
  readonly gname?: RawName;
  readonly mtime?: TarTime;
  /** Extended attributes, written as PAX `SCHILY.xattr.<name>`. */
  readonly xattrs?: Readonly<Record<string, RawName>>;
  /** Further PAX records, written as they are. */
  readonly pax?: Readonly<Record<string, RawName>>;
}

/** Kind of entry and its type flag (POSIX pax interchange format). */
const TYPE_FLAG = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  dir: "5",
  fifo: "6",
} as const;

/** How fields too large for ustar are written. */
export type TarFormat = "pax" | "gnu" | "ustar";

/** A field does not fit the chosen format. */
export class TarBuildError extends Error {
  override readonly name = "TarBuildError";
}

const BLOCK = 512;
const encoder = new TextEncoder();
/** 2020-01-02 03:04:05 UTC: the default time of entries. */
export const DEFAULT_TIME: TarTime = { seconds: 1_577_934_245, nanos: 0 };

/** The bytes of a name. */
export function rawBytes(name: RawName): Uint8Array {
  return typeof name === "string" ? encoder.encode(name) : name;
}

/** Joins bytes. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/**
 * Writes a tar archive entry by entry, exactly as told. Nothing is sorted, merged or repaired, so
 * it can also make archives that no ordinary tool would write.
 *
 * @example
 * ```ts
 * import { TarBuilder } from "./tar_builder.ts";
 * const tar = new TarBuilder().dir("etc").file("etc/motd", "hello\n").whiteout("old").finish();
 * ```
 */
export class TarBuilder {
  readonly #format: TarFormat;
  readonly #parts: Uint8Array[] = [];

  constructor(options: { format?: TarFormat } = {}) {
    this.#format = options.format ?? "pax";
  }

  /** A regular file. */
  file(
    name: RawName,
    data: RawName = new Uint8Array(),
    options: EntryOptions = {},
  ): this {
    return this.#add("file", name, { mode: 0o644, ...options }, {
      data: rawBytes(data),
    });
  }

  /** A directory; appends `/` to its name, as every tar writer does. */
  dir(name: RawName, options: EntryOptions = {}): this {
    const bytes = rawBytes(name);
    const slashed = bytes.at(-1) === 0x2f
      ? bytes
      : joinBytes([bytes, rawBytes("/")]);
    return this.#add("dir", slashed, { mode: 0o755, ...options });
  }

  /** A symbolic link. */
  symlink(name: RawName, target: RawName, options: EntryOptions = {}): this {
    return this.#add("symlink", name, { mode: 0o777, ...options }, {
      linkname: rawBytes(target),
    });
  }

  /** Another name for an entry of this archive. */
  hardlink(name: RawName, target: RawName, options: EntryOptions = {}): this {
    return this.#add("hardlink", name, { mode: 0o644, ...options }, {
      linkname: rawBytes(target),
    });
  }

  /** A character device. */
  charDevice(
    name: RawName,
    device: { major: number; minor: number },
    options: EntryOptions = {},
  ): this {
    return this.#add("char", name, { mode: 0o600, ...options }, { device });
  }

  /** A block device. */
  blockDevice(
    name: RawName,
    device: { major: number; minor: number },
    options: EntryOptions = {},
  ): this {
    return this.#add("block", name, { mode: 0o600, ...options }, { device });
  }

  /** A named pipe. */
  fifo(name: RawName, options: EntryOptions = {}): this {
    return this.#add("fifo", name, { mode: 0o600, ...options });
  }

  /** Hides `path` of the layers below (OCI image spec, layer.md, whiteouts). */
  whiteout(path: string): this {
    const slash = path.lastIndexOf("/") + 1;
    return this.file(`${path.slice(0, slash)}.wh.${path.slice(slash)}`);
  }

  /** Hides everything that the layers below have in a directory. */
  opaque(directory: string): this {
    return this.file(`${directory}/.wh..wh..opq`);
  }

  /** PAX records for every entry that follows (`g` header). */
  globalPax(records: Readonly<Record<string, RawName>>): this {
    const body = paxRecords(Object.entries(records));
    this.#header("g", "pax_global_header", { size: body.length });
    this.#body(body);
    return this;
  }

  /** Adds bytes as they are, to break an archive on purpose. */
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  /** The archive with its end marker of two empty blocks. */
  finish(): Uint8Array {
    return joinBytes([...this.#parts, new Uint8Array(2 * BLOCK)]);
  }

  #add(
    type: keyof typeof TYPE_FLAG,
    nameText: RawName,
    options: EntryOptions,
    more: {
      data?: Uint8Array;
      linkname?: Uint8Array;
      device?: { major: number; minor: number };
    } = {},
  ): this {
    const name = rawBytes(nameText);
    const linkname = more.linkname ?? new Uint8Array();
    const data = more.data ?? new Uint8Array();
    const mtime = options.mtime ?? DEFAULT_TIME;
    const fields: HeaderFields = {
      mode: options.mode ?? 0,
      uid: options.uid ?? 0,
      gid: options.gid ?? 0,
      size: data.length,
      mtimeSeconds: mtime.seconds,
      linkname,
      uname: rawBytes(options.uname ?? ""),
      gname: rawBytes(options.gname ?? ""),
      devMajor: more.device?.major ?? 0,
      devMinor: more.device?.minor ?? 0,
    };
    const extra: Array<[string, RawName]> = [
      ...Object.entries(options.xattrs ?? {}).map((
        [key, value],
      ): [string, RawName] => [`SCHILY.xattr.${key}`, value]),
      ...Object.entries(options.pax ?? {}),
    ];
    const header = this.#format === "gnu"
      ? this.#gnu(name, fields, TYPE_FLAG[type], mtime, extra)
      : this.#pax(name, fields, TYPE_FLAG[type], mtime, extra);
    this.#parts.push(header);
    this.#body(data);
    return this;
  }

  /** ustar, with a PAX header before it when one is needed. */
  #pax(
    name: Uint8Array,
    fields: HeaderFields,
    flag: string,
    mtime: TarTime,
    extra: Array<[string, RawName]>,
  ): Uint8Array {
    const records: Array<[string, RawName]> = [];
    const header = ustarHeader({
      name,
      flag,
      fields,
      magic: "ustar",
      tooLarge: (field, value) => records.push([field, value]),
    });
    if (mtime.nanos !== 0 && !records.some(([key]) => key === "mtime")) {
      records.push(["mtime", ""]);
    }
    const all = records.map(([key, value]): [string, RawName] =>
      key === "mtime" ? [key, paxTime(mtime)] : [key, value]
    ).concat(extra);
    if (all.length === 0) return header;
    if (this.#format === "ustar") {
      throw new TarBuildError(
        `ustar cannot hold ${all.map(([key]) => key).join(", ")}`,
      );
    }
    const body = paxRecords(all);
    this.#header("x", "PaxHeaders.0/entry", { size: body.length });
    this.#body(body);
    return header;
  }

  /** GNU: long names in `L` and `K` entries before the header, large numbers in base 256. */
  #gnu(
    name: Uint8Array,
    fields: HeaderFields,
    flag: string,
    mtime: TarTime,
    extra: Array<[string, RawName]>,
  ): Uint8Array {
    if (extra.length > 0 || mtime.nanos !== 0) {
      throw new TarBuildError(
        "the GNU format has no place for extended attributes or nanoseconds",
      );
    }
    const long = (type: string, value: Uint8Array) => {
      if (value.length <= 100) return value;
      const body = joinBytes([value, new Uint8Array(1)]);
      this.#header(type, "././@LongLink", { size: body.length });
      this.#body(body);
      return value.subarray(0, 100);
    };
    const linkname = long("K", fields.linkname ?? new Uint8Array());
    return ustarHeader({
      name: long("L", name),
      flag,
      fields: { ...fields, linkname },
      magic: "gnu",
      tooLarge: (field) => {
        throw new TarBuildError(`the GNU format cannot hold this ${field}`);
      },
    });
  }

  #header(flag: string, name: string, fields: HeaderFields): void {
    this.#parts.push(
      ustarHeader({
        name: rawBytes(name),
        flag,
        fields,
        magic: this.#format === "gnu" ? "gnu" : "ustar",
        tooLarge: (field) => {
          throw new TarBuildError(`header field ${field} is too large`);
        },
      }),
    );
  }

  #body(data: Uint8Array): void {
    this.#parts.push(data);
    const rest = data.length % BLOCK;
    if (rest !== 0) this.#parts.push(new Uint8Array(BLOCK - rest));
  }
}

/** Seconds as PAX writes them; before 1970 the whole number is negative: -2 s + 0.5 s is `-1.5`. */
function paxTime({ seconds, nanos }: TarTime): string {
  if (nanos === 0) return String(seconds);
  const negative = seconds < 0;
  const whole = negative ? -(seconds + 1) : seconds;
  const fraction = String(negative ? 1_000_000_000 - nanos : nanos)
    .padStart(9, "0").replace(/0+$/, "");
  return `${negative ? "-" : ""}${whole}.${fraction}`;
}
