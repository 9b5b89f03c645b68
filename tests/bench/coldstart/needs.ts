/**
 * What a start needs, page by page, and how fast it is when all of it is here: the limits beside the
 * figures. Found by a start on overlayfs with cold caches and no read-ahead: what the page cache holds
 * afterwards is what was read.
 * @module
 */
import { zstdCompressSync } from "node:zlib";
import { dropCaches } from "../../e2e/faults/stage.ts";
import {
  type Containerd,
  ctrPull,
  startContainerd,
} from "../../support/host/mod.ts";
import { cacheFolder, exists } from "../support.ts";
import { startUntilReady } from "./ready.ts";
import type { BenchRegistry, Published } from "./registry.ts";
import { type Range, residentRanges } from "./resident_pages.ts";
import { type Name, WORKLOADS } from "./workloads.ts";

/** Of one image, the invocation that is measured. */
export interface Needs {
  /** From the command to run a container until it is ready, all files cached: the best of some, ms. */
  readonly floorMs: number;
  /** Files that were read, by layer (lowest first) and path in it. */
  readonly files: readonly NeededFile[];
  /** Bytes of the pages that were read. */
  readonly bytes: number;
  /** The same, compressed by zstd in frames of 256 KiB. */
  readonly packedBytes: number;
}

/** A file that was read, and what of it. */
export interface NeededFile {
  readonly layer: number;
  readonly path: string;
  readonly ranges: readonly Range[];
}

const WARM_RUNS = 5;
const FRAME = 256 * 1024;
const READ_AHEAD = "/sys/class/block/*/queue/read_ahead_kb";

/** What an image's start needs. Kept on disk; found out again where `again` says so. */
export async function needsOf(
  registry: BenchRegistry,
  name: Name,
  published: Published,
  options: { again: boolean },
): Promise<Needs> {
  const folder = `${cacheFolder()}/coldstart/needs`;
  await Deno.mkdir(folder, { recursive: true });
  const path = `${folder}/${name}-${published.digest.slice(7, 19)}.json`;
  if (!options.again && exists(path)) {
    return JSON.parse(await Deno.readTextFile(path));
  }
  console.log(`finding out what ${name} needs (kept for later runs)`);
  await using containerd = await startContainerd();
  const reference = registry.reference(published);
  await ctrPull(containerd, reference, {
    caPath: registry.authority.certPath,
  });
  const needs = await find(containerd, name, reference);
  await Deno.writeTextFile(path, JSON.stringify(needs));
  return needs;
}

async function find(
  containerd: Containerd,
  name: Name,
  image: string,
): Promise<Needs> {
  const { measured: invocation, ready } = WORKLOADS[name];
  let runs = 0;
  const start = async () => {
    const id = `needs-${runs++}`;
    const { from, at } = await startUntilReady(containerd, {
      ...{ image, snapshotter: "overlayfs", invocation, ready, id },
    });
    return { ms: at - from, id };
  };
  const end = async (id: string) => {
    await containerd.tryCtr(["tasks", "rm", "-f", id]);
    await containerd.tryCtr(["containers", "rm", id]);
  };
  const layers = layerFolders(containerd);
  let floorMs = Infinity;
  for (let run = 0; run < WARM_RUNS; run++) {
    const { ms, id } = await start();
    floorMs = Math.min(floorMs, ms);
    await end(id);
  }
  await dropCaches();
  const readAhead = noReadAhead();
  try {
    const { id } = await start();
    const files = layers.flatMap(filesRead);
    await end(id);
    return { floorMs, files, ...bytesOf(files, layers) };
  } finally {
    readAhead[Symbol.dispose]();
  }
}

/** Where overlayfs has the layers of the only image, lowest first, before it has anything else. */
function layerFolders({ folder }: Containerd): string[] {
  const snapshots =
    `${folder}/root/io.containerd.snapshotter.v1.overlayfs/snapshots`;
  return [...Deno.readDirSync(snapshots)].map(({ name }) => Number(name))
    .sort((a, b) => a - b)
    .map((id) => `${snapshots}/${id}/fs`);
}

function filesRead(root: string, layer: number): NeededFile[] {
  const found: NeededFile[] = [];
  const seen = new Set<number>();
  const walk = (folder: string): void => {
    for (const { name, isDirectory, isFile } of Deno.readDirSync(folder)) {
      const path = `${folder}/${name}`;
      if (isDirectory) walk(path);
      if (!isFile) continue;
      const { size, ino } = Deno.lstatSync(path);
      if (seen.has(ino!)) continue; // another name of the same
      seen.add(ino!);
      const ranges = residentRanges(path, size);
      if (ranges.length === 0) continue;
      found.push({ layer, path: path.slice(root.length + 1), ranges });
    }
  };
  walk(root);
  return found;
}

function bytesOf(
  files: readonly NeededFile[],
  layers: readonly string[],
): { bytes: number; packedBytes: number } {
  const pieces = files.flatMap(({ layer, path, ranges }) => {
    const content = Deno.readFileSync(`${layers[layer]}/${path}`);
    return ranges.map(({ offset, length }) =>
      content.slice(offset, offset + length)
    );
  });
  const all = new Uint8Array(
    pieces.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  let packedBytes = 0;
  for (let from = 0; from < all.length; from += FRAME) {
    packedBytes += zstdCompressSync(all.subarray(from, from + FRAME)).length;
  }
  return { bytes: all.length, packedBytes };
}

/** Switches the read-ahead of all disks off until it is disposed. */
function noReadAhead(): Disposable {
  const [before, after] = READ_AHEAD.split("*") as [string, string];
  const settings = [...Deno.readDirSync(before)].map(({ name }) =>
    `${before}${name}${after}`
  ).filter(exists).map((path) =>
    [path, Deno.readTextFileSync(path).trim()] as const
  );
  for (const [path] of settings) Deno.writeTextFileSync(path, "0");
  return {
    [Symbol.dispose]() {
      for (const [path, value] of settings) Deno.writeTextFileSync(path, value);
    },
  };
}
