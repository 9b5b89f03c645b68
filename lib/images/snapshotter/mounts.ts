import { OsError, readWholeFile } from "../../host/os/mod.ts";
import { SnapshotError } from "./errors.ts";
import type { MountSpec, SnapshotKind } from "./types.ts";

/** Lower directories that overlayfs takes (`OVL_MAX_STACK`, fs/overlayfs). */
const MAX_LOWER_DIRECTORIES = 500;
/** Bytes of options that mount(2) takes: a page, whose last byte ends the text. */
const MAX_OPTIONS_BYTES = 4095;

/** The directories a snapshot is made of. */
export interface SnapshotDirectories {
  /** Names the snapshot in errors. */
  readonly key: string;
  readonly kind: SnapshotKind;
  /** Holds the snapshot's own files. */
  readonly fs: string;
  /** Scratch of overlayfs. */
  readonly work: string;
  /** The parents' files, nearest first. */
  readonly parents: readonly string[];
  /** Whether the nearest parent is a lazily served layer, and so a mount of ours. */
  readonly served?: boolean;
  /** Options that map the parents' owners; see `idMapping`. */
  readonly idMapOptions?: readonly string[];
}

/** Layers are mounted nosuid,nodev on the host: a bind mount for a container lifts that again. */
const LIFT_FLAGS = ["suid", "dev"];

/**
 * How to mount a snapshot.
 *
 * A layer that an image has several times is named once: overlayfs refuses the same directory twice
 * (ELOOP). Which names it finds below a path, and where it stops looking, overlayfs decides going
 * down from the uppermost layer. Where it has reached the upper of two equal layers it has seen all
 * that the lower one says of this path, names, whiteouts and marks alike; where it has not, it
 * stopped above both. So of equal layers only the uppermost counts.
 *
 * @throws SnapshotError `failed-precondition` for more layers than the kernel can stack.
 */
export function mountSpecs(
  { key, kind, fs, work, parents, served = false, idMapOptions = [] }:
    SnapshotDirectories,
  overlayOptions: readonly string[],
): MountSpec[] {
  const writable = kind === "active";
  const [nearest] = parents;
  if (nearest === undefined) return [bind(fs, writable)];
  if (!writable && parents.length === 1) {
    return [
      bind(nearest, false, [...served ? LIFT_FLAGS : [], ...idMapOptions]),
    ];
  }
  const lower = [...new Set(parents)];
  // Without an upper directory overlayfs wants two: a view's own is empty.
  if (!writable && lower.length === 1) lower.push(fs);
  assertMountable(key, lower, writable ? [work, fs] : []);
  return [{
    type: "overlay",
    source: "overlay",
    options: [
      ...(writable ? [`workdir=${work}`, `upperdir=${fs}`] : []),
      `lowerdir=${lower.join(":")}`,
      ...overlayOptions,
      ...idMapOptions,
    ],
  }];
}

/**
 * overlayfs reads its options from one page (4096 bytes). containerd shortens lower directories that
 * share a prefix by mounting from there; we keep them short so that it seldom has to.
 * @throws SnapshotError
 */
function assertMountable(
  key: string,
  lower: readonly string[],
  upper: readonly string[],
): void {
  const refuse = (why: string) => {
    throw new SnapshotError(
      "failed-precondition",
      key,
      `snapshot ${key} cannot be mounted: ${why}`,
    );
  };
  if (lower.length > MAX_LOWER_DIRECTORIES) {
    refuse(
      `it has ${lower.length} layers, overlayfs takes ${MAX_LOWER_DIRECTORIES}`,
    );
  }
  const shared = sharedFolder(lower).length;
  const bytes = byteLength(lower) - shared * lower.length + lower.length +
    byteLength(upper) + OTHER_OPTIONS_BYTES;
  if (bytes > MAX_OPTIONS_BYTES) {
    refuse(
      `its ${lower.length} layers need about ${bytes} bytes of mount options, the kernel takes ${MAX_OPTIONS_BYTES}; a shorter --root helps`,
    );
  }
}

/** Names of the options, and those that every mount gets. */
const OTHER_OPTIONS_BYTES = 128;

function byteLength(paths: readonly string[]): number {
  const encoder = new TextEncoder();
  return paths.reduce((sum, path) => sum + encoder.encode(path).length, 0);
}

/** The deepest folder that all paths are in, with its slash: what containerd leaves out. */
function sharedFolder(paths: readonly string[]): string {
  const sorted = paths.toSorted();
  const [first = ""] = sorted;
  const last = sorted.at(-1) ?? "";
  let length = 0;
  while (length < first.length && first[length] === last[length]) length++;
  return first.slice(0, first.lastIndexOf("/", length - 1) + 1);
}

function bind(
  source: string,
  writable: boolean,
  more: readonly string[] = [],
): MountSpec {
  return {
    type: "bind",
    source,
    options: [writable ? "rw" : "ro", "rbind", ...more],
  };
}

/**
 * Options every overlay mount gets on this kernel.
 *
 * `index=off`: with the index a lower directory can only be used by one overlay at a time in some
 * combinations (EBUSY, ESTALE), and containers share them.
 *
 * `xino=on`: layers are file systems of their own, and without it their files show a device of their
 * own each: `du -x` leaves the whole image out. Not `auto`, which stays off above FUSE.
 */
export function overlayOptionsOfKernel(xino: "on" | "off" = "on"): string[] {
  const options: string[] = [];
  if (kernelKnows("index")) options.push("index=off");
  if (xino === "on" && kernelKnows("xino_auto")) {
    options.push("xino=on");
  }
  return options;
}

/** False also where overlayfs is not loaded yet. */
function kernelKnows(parameter: string): boolean {
  try {
    // Not through Deno's own file API, which sees nothing of /sys under narrow permissions.
    readWholeFile(`/sys/module/overlay/parameters/${parameter}`, 4096);
    return true;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return false;
  }
}
