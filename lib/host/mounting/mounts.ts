import { readWholeFile, unmount } from "../os/mod.ts";

const MAX_MOUNTINFO_BYTES = 64 * 2 ** 20;

/** A line of /proc/self/mountinfo (proc(5)). */
export interface MountEntry {
  /** `major:minor` of its device. */
  readonly device: string;
  /** What of its file system is mounted: a path there; `/` for all of it. */
  readonly root: string;
  /** Where it is mounted: an absolute path, unescaped. */
  readonly mountpoint: string;
  /** Of the file system, as the kernel lists it: `overlay`, `erofs`. */
  readonly type: string;
}

/** All mounts this process sees, in order of mounting. @throws OsError */
export function listMounts(): MountEntry[] {
  const text = new TextDecoder().decode(
    readWholeFile("/proc/self/mountinfo", MAX_MOUNTINFO_BYTES),
  );
  return text.trimEnd().split("\n").map((line) => {
    const fields = line.split(" ");
    return {
      device: fields[2] ?? "",
      root: unescapeOctal(fields[3] ?? ""),
      mountpoint: unescapeOctal(fields[4] ?? ""),
      type: fields[fields.indexOf("-") + 1] ?? "",
    };
  });
}

/** Upper directories of the overlays that this process sees mounted: a container is running on each. @throws OsError */
export function uppersOfOverlays(): string[] {
  const text = new TextDecoder().decode(
    readWholeFile("/proc/self/mountinfo", MAX_MOUNTINFO_BYTES),
  );
  return text.split("\n").flatMap((line) => {
    const [, upper] = / - overlay .*[ ,]upperdir=([^, ]*)/.exec(line) ?? [];
    return upper === undefined ? [] : [unescapeOctal(upper)];
  });
}

/** Whether something is mounted right there. */
export function isMountPoint(path: string): boolean {
  return listMounts().some(({ mountpoint }) => mountpoint === path);
}

/** Unmounts, lazily, all that is mounted in a folder, the newest first. @throws OsError */
export function unmountBelow(folder: string): void {
  for (const { mountpoint } of listMounts().reverse()) {
    if (mountpoint.startsWith(`${folder}/`)) unmount(mountpoint);
  }
}

/** The mounts this process sees, at one moment; finds them without touching them. */
export class MountTable {
  /** By mountpoint, the one that is seen there. */
  readonly #seen: ReadonlyMap<string, MountEntry>;

  /** A table of these. @param entries in order of mounting. */
  constructor(entries: readonly MountEntry[]) {
    this.#seen = new Map(entries.map((entry) => [entry.mountpoint, entry]));
  }

  /** As they are now. @throws OsError */
  static read(): MountTable {
    return new MountTable(listMounts());
  }

  /** What is mounted right there. */
  at(path: string): MountEntry | undefined {
    return this.#seen.get(path);
  }

  /** What shows a path: absolute, without links. */
  holder(path: string): MountEntry | undefined {
    for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      const found = this.#seen.get(at);
      if (found !== undefined) return found;
    }
    return this.#seen.get("/");
  }

  /** Mountpoints in a folder, at any depth. */
  below(folder: string): string[] {
    return [...this.#seen.keys()].filter((path) =>
      path.startsWith(`${folder}/`)
    );
  }

  /** Whether what is mounted at `target` is what `source` shows, of the same file system. */
  isCloneOf(target: string, source: string): boolean {
    const clone = this.at(target);
    const holder = this.holder(source);
    if (clone === undefined || holder === undefined) return false;
    const { device, root, mountpoint } = holder;
    const rest = mountpoint === "/" ? source : source.slice(mountpoint.length);
    const path = root === "/" ? rest || "/" : root + rest;
    return clone.device === device && clone.root === path;
  }
}

/** mountinfo writes blanks and backslashes as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-7]{3})/g,
    (_, digits: string) => String.fromCharCode(parseInt(digits, 8)),
  );
}
