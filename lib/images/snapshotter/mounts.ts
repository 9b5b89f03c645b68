import { OsError, readWholeFile } from "../../host/os/mod.ts";
import type { MountSpec, SnapshotKind } from "./types.ts";

/** The directories a snapshot is made of. */
export interface SnapshotDirectories {
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
 * overlayfs reads its options from one page (4096 bytes). containerd shortens lower directories that
 * share a prefix by mounting from there; we keep them short so that it seldom has to.
 */
export function mountSpecs(
  { kind, fs, work, parents, served = false, idMapOptions = [] }:
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
  return [{
    type: "overlay",
    source: "overlay",
    options: [
      ...(writable ? [`workdir=${work}`, `upperdir=${fs}`] : []),
      `lowerdir=${parents.join(":")}`,
      ...overlayOptions,
      ...idMapOptions,
    ],
  }];
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
 */
export function overlayOptionsOfKernel(): string[] {
  try {
    // Not through Deno's own file API, which sees nothing of /sys under narrow permissions.
    readWholeFile("/sys/module/overlay/parameters/index", 4096);
    return ["index=off"];
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return []; // overlayfs is not loaded yet, or too old to know the option
  }
}
