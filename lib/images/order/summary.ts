import type { Digest } from "../../formats/oci/mod.ts";
import type { Recording } from "../../formats/order/mod.ts";
import type { Ztoc } from "../../formats/ztoc/mod.ts";
import { fileBefore } from "./file_before.ts";

/** What kind of file it is, as its name tells. */
export type FileClass =
  | "program"
  | "library"
  | "bytecode"
  | "source"
  | "archive"
  | "data"
  | "unknown";

/** What a recording touched of one file. */
export interface TouchedFile {
  /** As the layer names it; empty where the bytes are of no known file. */
  readonly path: string;
  /** Of its layer. */
  readonly layer: Digest;
  /** What kind of file it is. */
  readonly class: FileClass;
  /** Of the file; 0 where it is not known. */
  readonly size: number;
  /** Bytes that were touched. */
  readonly bytes: number;
  /** How many ranges they are. */
  readonly ranges: number;
  /** When the first was touched, ms. */
  readonly firstMs: number;
  /** When the last was touched, ms. */
  readonly lastMs: number;
  /** The longest that a reader waited for one, ms. */
  readonly waitedMs: number;
}

/** Touches that have something in common. */
export interface TouchedGroup {
  /** A layer's digest, or a class. */
  readonly name: string;
  /** How many files. */
  readonly files: number;
  /** How many ranges. */
  readonly ranges: number;
  /** Bytes of all of them. */
  readonly bytes: number;
}

/** A recording, told by file, layer and class. */
export interface OrderSummary {
  /** The file that holds a byte of a layer of the recording; empty where none is known. */
  readonly fileOf: (layer: number, offset: number) => string;
  /** In order of first touch. */
  readonly files: readonly TouchedFile[];
  /** The largest first. */
  readonly layers: readonly TouchedGroup[];
  /** The largest first. */
  readonly classes: readonly TouchedGroup[];
  /** Bytes that were touched. */
  readonly bytes: number;
  /** How many ranges they are. */
  readonly ranges: number;
  /** From the first touch to the last, ms. */
  readonly ms: number;
  /** How many touches waited for their bytes. */
  readonly waits: number;
}

/** A regular file of a layer. */
interface KnownFile {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  readonly isExecutable: boolean;
}

/**
 * Tells what was touched.
 * @param ztocs of the recording's layers; null where none is known: then nothing is known of its files.
 */
export function summaryOf(
  recording: Recording,
  ztocs: readonly (Pick<Ztoc, "entries"> | null)[],
): OrderSummary {
  const files = new Map<string, TouchedFile>();
  const known = ztocs.map((ztoc) => ztoc === null ? [] : knownFiles(ztoc));
  const { touches } = recording;
  for (const { layer, offset, length, ms, waitedMs } of touches) {
    const digest = recording.layers[layer]!;
    const file = fileAt(known[layer] ?? [], offset);
    const path = file?.path ?? "";
    const key = `${layer}\0${path}`;
    const before = files.get(key);
    files.set(key, {
      path,
      layer: digest,
      class: file === null ? "unknown" : classOf(file),
      size: file?.size ?? 0,
      bytes: (before?.bytes ?? 0) + length,
      ranges: (before?.ranges ?? 0) + 1,
      firstMs: before?.firstMs ?? ms,
      lastMs: ms,
      waitedMs: Math.max(before?.waitedMs ?? 0, waitedMs),
    });
  }
  const all = [...files.values()];
  return {
    fileOf: (layer, offset) => fileAt(known[layer] ?? [], offset)?.path ?? "",
    files: all,
    layers: groups(all, ({ layer }) => layer),
    classes: groups(all, (file) => file.class),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    ranges: touches.length,
    ms: touches.reduce((latest, { ms }) => Math.max(latest, ms), 0),
    waits: touches.filter(({ waitedMs }) => waitedMs > 0).length,
  };
}

function knownFiles({ entries }: Pick<Ztoc, "entries">): KnownFile[] {
  const decoder = new TextDecoder();
  return entries.filter(({ type, size }) => type === "reg" && size > 0)
    .map(({ name, offset, size, mode }) => ({
      path: decoder.decode(name).replace(/^(\.?\/)+/, ""),
      offset,
      size,
      isExecutable: (mode & 0o111) !== 0,
    }));
}

function fileAt(files: readonly KnownFile[], offset: number): KnownFile | null {
  const file = fileBefore(files, offset);
  // What follows a file up to the next block is read with it.
  return file !== undefined && offset < file.offset + file.size + 511
    ? file
    : null;
}

function classOf({ path, isExecutable }: KnownFile): FileClass {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  if (/\.so(\.[\d.]+)?$/.test(name)) return "library";
  if (/\.(pyc|class|mo|elc|beam)$/.test(name)) return "bytecode";
  if (/\.(py|js|mjs|cjs|rb|pl|pm|php|lua|sh|ts)$/.test(name)) return "source";
  if (/\.(jar|war|zip|whl|jmod|gz|xz|zst|modules)$/.test(name)) {
    return "archive";
  }
  return isExecutable ? "program" : "data";
}

function groups(
  files: readonly TouchedFile[],
  nameOf: (file: TouchedFile) => string,
): TouchedGroup[] {
  const found = new Map<string, TouchedGroup>();
  for (const file of files) {
    const name = nameOf(file);
    const before = found.get(name);
    found.set(name, {
      name,
      files: (before?.files ?? 0) + (file.path === "" ? 0 : 1),
      ranges: (before?.ranges ?? 0) + file.ranges,
      bytes: (before?.bytes ?? 0) + file.bytes,
    });
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes);
}
