import { bytesOnDisk } from "../../host/files/mod.ts";
import { listMounts } from "../../host/mounting/mod.ts";
import type { SnapshotUsage } from "./types.ts";

/** Entries examined before the event loop gets a turn. */
const BATCH = 64;

/**
 * Measures the disk space and inodes of a directory. Hard links count once. Other file systems
 * mounted below it do not count.
 */
export async function diskUsage(directory: string): Promise<SnapshotUsage> {
  const seen = new Set<number>();
  const root = await Deno.lstat(directory);
  let sizeBytes = 0;
  const count = (info: Deno.FileInfo): boolean => {
    if (info.dev !== root.dev || info.ino === null || seen.has(info.ino)) {
      return false;
    }
    seen.add(info.ino);
    sizeBytes += bytesOnDisk(info);
    return true;
  };
  count(root);
  const pending = [directory];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const paths = await children(at);
    for (let from = 0; from < paths.length; from += BATCH) {
      const batch = paths.slice(from, from + BATCH);
      const infos = await Promise.all(batch.map(lstatIfThere));
      infos.forEach((info, index) => {
        if (info !== null && count(info) && info.isDirectory) {
          pending.push(batch[index]!);
        }
      });
    }
  }
  return { sizeBytes, inodes: seen.size };
}

async function children(directory: string): Promise<string[]> {
  const paths: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      paths.push(`${directory}/${name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return paths;
}

/** A container may remove files while we count. */
async function lstatIfThere(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Mount points at or below a directory, as this process sees them. Does not use Deno's file API,
 * which cannot read `/proc` with our narrow permissions.
 */
export function mountsBelow(directory: string): string[] {
  return listMounts().map(({ mountpoint }) => mountpoint)
    .filter((path) => path === directory || path.startsWith(`${directory}/`));
}
