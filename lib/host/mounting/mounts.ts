import { readWholeFile } from "../os/mod.ts";

const MAX_MOUNTINFO_BYTES = 64 * 2 ** 20;

/** A line of /proc/self/mountinfo (proc(5)). */
export interface MountEntry {
  /** `major:minor` of its device. */
  readonly device: string;
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
      mountpoint: unescapeOctal(fields[4] ?? ""),
      type: fields[fields.indexOf("-") + 1] ?? "",
    };
  });
}

/** Whether something is mounted right there. */
export function isMountPoint(path: string): boolean {
  return listMounts().some(({ mountpoint }) => mountpoint === path);
}

/** mountinfo writes blanks and backslashes as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-7]{3})/g,
    (_, digits: string) => String.fromCharCode(parseInt(digits, 8)),
  );
}
