import { OsError, readWholeFile } from "../../host/os/mod.ts";
import { SnapshotError } from "./errors.ts";
import type { MountSpec, SnapshotKind } from "./types.ts";

/** The most lower directories that overlayfs accepts (`OVL_MAX_STACK`, fs/overlayfs). */
const MAX_LOWER_DIRECTORIES = 500;
/** The most bytes of options that mount(2) accepts: one page, minus the terminating zero byte. */
const MAX_OPTIONS_BYTES = 4095;

/** The directories that make up a snapshot. */
export interface SnapshotDirectories {
  /** The snapshot's key, for errors. */
  readonly key: string;
  readonly kind: SnapshotKind;
  /** Holds the snapshot's own files. */
  readonly fs: string;
  /** The work directory of overlayfs. */
  readonly work: string;
  /** The parents' files, nearest first. */
  readonly parents: readonly string[];
  /** Whether the nearest parent is a mount of ours: of a lazily served layer, or with mapped owners. */
  readonly served?: boolean;
}

/** Layers are mounted nosuid,nodev on the host. A bind mount for a container must lift that. */
const LIFT_FLAGS = ["suid", "dev"];

/**
 * Works out how to mount a snapshot.
 *
 * A layer that occurs several times in an image is listed once, because overlayfs refuses the same
 * directory twice (ELOOP). The uppermost one is kept, and this changes nothing. overlayfs resolves
 * a path from the uppermost layer down, and may stop at any layer. If it reaches the upper of two
 * equal layers, it has seen everything that the lower one says about this path: names, whiteouts
 * and opaque marks. If it does not, it stopped above both.
 *
 * @throws SnapshotError `failed-precondition` if the kernel cannot stack that many layers.
 */
export function mountSpecs(
  { key, kind, fs, work, parents, served = false }: SnapshotDirectories,
  overlayOptions: readonly string[],
): MountSpec[] {
  const writable = kind === "active";
  const [nearest] = parents;
  if (nearest === undefined) return [bind(fs, writable)];
  if (!writable && parents.length === 1) {
    return [bind(nearest, false, served ? LIFT_FLAGS : [])];
  }
  const lower = [...new Set(parents)];
  // Without an upper directory, overlayfs wants two lower ones. A view's own is empty.
  if (!writable && lower.length === 1) lower.push(fs);
  assertMountable(key, lower, writable ? [work, fs] : []);
  return [{
    type: "overlay",
    source: "overlay",
    options: [
      ...(writable ? [`workdir=${work}`, `upperdir=${fs}`] : []),
      `lowerdir=${lower.join(":")}`,
      ...overlayOptions,
    ],
  }];
}

/**
 * Checks the limits of overlayfs, which reads its options from one page (4096 bytes). If lower
 * directories share a prefix, containerd shortens them by mounting from there. Ours are short, so
 * that it rarely has to.
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

/** Room for the options' names, and for the options that every mount gets. */
const OTHER_OPTIONS_BYTES = 128;

function byteLength(paths: readonly string[]): number {
  const encoder = new TextEncoder();
  return paths.reduce((sum, path) => sum + encoder.encode(path).length, 0);
}

/** The deepest folder that holds all paths, with its slash: the prefix that containerd removes. */
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
 * Options of every overlay mount on this kernel.
 *
 * `index=off`: containers share lower directories. With the index, some combinations allow only one
 * overlay at a time to use a lower directory (EBUSY, ESTALE).
 *
 * `xino=on`: each layer is a file system. Without this option, files show the device of their
 * layer, and `du -x` leaves the whole image out. `auto` does not help: it stays off above FUSE.
 */
export function overlayOptionsOfKernel(xino: "on" | "off" = "on"): string[] {
  const options: string[] = [];
  if (kernelKnows("index")) options.push("index=off");
  if (xino === "on" && kernelKnows("xino_auto")) {
    options.push("xino=on");
  }
  return options;
}

/** Whether overlayfs has this parameter. False also if overlayfs is not loaded yet. */
function kernelKnows(parameter: string): boolean {
  try {
    // Deno's file API cannot read /sys with our narrow permissions.
    readWholeFile(`/sys/module/overlay/parameters/${parameter}`, 4096);
    return true;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return false;
  }
}
