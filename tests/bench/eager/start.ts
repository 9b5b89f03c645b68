/** One start of an image that no node has, and its removal. @module */
import { fileSystemUse } from "../../../lib/host/os/mod.ts";
import { dropCaches } from "../../e2e/faults/stage.ts";
import { pause } from "../../support/host/mod.ts";
import type { Node } from "../coldstart/nodes.ts";
import { now, startUntilReady } from "../coldstart/ready.ts";
import type { Invocation, Ready } from "../coldstart/workloads.ts";
import { run } from "../support.ts";

/** What daemons do when they have just come up is not measured, ms. */
const SETTLE_MS = 1500;
/** The space is free when so much of what the image took is. */
const FREED = 0.95;
const REMOVAL_TIMEOUT_MS = 30_000;
/** A blob that is kept is written when the layer is shown: nothing more comes when nothing came for so long, ms. */
const CALM_MS = 1500;

/** Figures of one start: seconds, MB. */
export interface Start {
  readonly seconds: number;
  /** Until the first output; the kernel writes the rest later. */
  readonly earlyMb: number;
  /** Once all is synced. */
  readonly writtenMb: number;
  readonly removalSeconds: number;
}

/** Sectors of 512 bytes that all disks took. */
function sectorsWritten(): number {
  return Deno.readTextFileSync("/proc/diskstats").trim().split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , name]) => /^(vd[a-z]|sd[a-z]|nvme\d+n\d+)$/.test(name ?? ""))
    .reduce((sum, fields) => sum + Number(fields[9]), 0);
}

function freeBytes(folder: string): number {
  const { blocksFree, blockSizeBytes } = fileSystemUse(folder);
  return blocksFree * blockSizeBytes;
}

/** Starts an image, stops it and removes it. */
export async function startAndRemove(
  node: Node,
  image: string,
  { ready, invocation }: { ready: Ready; invocation: Invocation },
): Promise<Start> {
  const { containerd, snapshotter } = node;
  const id = `eager-${crypto.randomUUID()}`;
  await pause(SETTLE_MS);
  await dropCaches(); // see `pullSeconds`
  const sectors = sectorsWritten();
  const free = freeBytes(containerd.folder);
  const from = now();
  await node.pull(image);
  const { at } = await startUntilReady(containerd, {
    ...{ image, snapshotter, ready, invocation, id },
  });
  const sinceMb = () => (sectorsWritten() - sectors) * 512 / 1e6;
  const earlyMb = sinceMb();
  await calm(containerd.folder);
  await run("sync", []);
  const writtenMb = sinceMb();
  await containerd.tryCtr(["tasks", "kill", "-s", "SIGKILL", id]);
  for (let tries = 0; tries < 100; tries++) {
    const { code } = await containerd.tryCtr(["containers", "rm", id]);
    if (code === 0) break;
    await containerd.tryCtr(["tasks", "rm", "-f", id]);
    await pause(50);
  }
  await run("sync", []);
  return {
    seconds: (at - from) / 1000,
    ...{ earlyMb, writtenMb },
    removalSeconds: await removal(node, image, free),
  };
}

/** Waits until nothing more takes disk space. */
async function calm(folder: string): Promise<void> {
  for (let before = -1;;) {
    const free = freeBytes(folder);
    if (Math.abs(free - before) < 1e6) return;
    before = free;
    await pause(CALM_MS);
  }
}

async function removal(
  { containerd }: Node,
  image: string,
  freeBefore: number,
): Promise<number> {
  const taken = freeBefore - freeBytes(containerd.folder);
  const from = now();
  const removed = containerd.ctr("images", "rm", "--sync", image);
  const wanted = freeBefore - (1 - FREED) * taken;
  while (freeBytes(containerd.folder) < wanted) {
    if (now() - from > REMOVAL_TIMEOUT_MS) break;
    await pause(5);
  }
  const seconds = (now() - from) / 1000;
  await removed;
  return seconds;
}
