/** One start of one image by one way over one line. @module */
import { pause } from "../../support/host/mod.ts";
import type { Link } from "../../support/link/mod.ts";
import type { Contestant } from "./contestants.ts";
import { timeInLog } from "./events.ts";
import type { Node } from "./nodes.ts";
import { usageOf } from "./processes.ts";
import { now, startUntilReady } from "./ready.ts";
import { type BenchRegistry, type Published } from "./registry.ts";
import { totalBytes, type Traffic, trafficOf } from "./traffic.ts";
import { type Name, WORKLOADS } from "./workloads.ts";

/** What daemons do when they have just come up is not measured, ms. */
const SETTLE_MS = 2000;
/** Four of five files, in the order of the folders. */
export const JOB = "find / -xdev -type f | mawk 'NR % 5' | tr '\\n' '\\0' | " +
  "xargs -0 cat > /dev/null; echo ready";
/** The daemon's own figures are taken when it has answered what waited, ms. */
const AFTER_MS = 300;

/** What one start took. Times in milliseconds. */
export interface Start {
  /** From the pull's command to the program being ready. */
  readonly totalMs: number;
  /** From the first Prepare at the snapshotter to that; null when nobody saw it. */
  readonly sincePrepareMs: number | null;
  readonly phases: Phases;
  /** What the registry sent, by its log. */
  readonly traffic: Traffic;
  /** What had arrived when the program was ready, as far as the line can tell. */
  readonly bytes: number;
  /** Of the lazy daemon, from the pull's command on; null where there is none. */
  readonly cpuMs: number | null;
  readonly residentMb: number | null;
  /** What the daemon counted itself; null where it tells nothing. */
  readonly figures: unknown;
  /** From the pull's command to the end of a job that reads most of the image; null without one. */
  readonly jobMs: number | null;
}

/** A start's parts, one after another, ms. */
export interface Phases {
  /** Until the first Prepare: the command's own start, manifests. */
  readonly command: number | null;
  /** From there to the end of the pull. */
  readonly layers: number;
  /** From the command to run a container until its program starts. */
  readonly container: number | null;
  /** From there until it is ready. */
  readonly program: number;
}

/** What is started, and over what. */
export interface StartOptions {
  readonly name: Name;
  readonly published: Published;
  /** null: the registry is reached directly. */
  readonly link: Link | null;
  /** Whether a job follows that reads most of the image. */
  readonly job: boolean;
}

/** Starts an image cold. */
export async function measureStart(
  registry: BenchRegistry,
  contestant: Contestant,
  options: StartOptions,
): Promise<Start> {
  await using stack = new AsyncDisposableStack();
  const node = await contestant.node(stack, registry.authority.certPath);
  const { name, published, link } = options;
  const reference = registry.reference(published, portOf(link));
  const { ready, measured } = WORKLOADS[name];
  await pause(SETTLE_MS);

  const logged = registry.log().length;
  const arrived = link?.bytes() ?? 0;
  const before = usageOf(node.pids());
  const from = now();
  await node.pull(reference);
  const pulled = now();
  const started = await startUntilReady(node.containerd, {
    ...{ image: reference, snapshotter: node.snapshotter, ready },
    ...{ invocation: measured, id: `coldstart-${name}` },
  });
  const bytes = link === null ? null : link.bytes() - arrived;
  await pause(AFTER_MS);
  const pids = node.pids();
  const after = usageOf(pids);

  const figures = await node.figures();
  const log = node.containerd.logs();
  const preparedAt = timeInLog(log, 'msg="prepare snapshot"');
  const runsAt = timeInLog(log, "topic=/tasks/start");
  const traffic = trafficOf(registry.log().slice(logged), published.kinds);
  return {
    totalMs: started.at - from,
    sincePrepareMs: preparedAt === null ? null : started.at - preparedAt,
    phases: {
      command: preparedAt === null ? null : preparedAt - from,
      layers: pulled - (preparedAt ?? from),
      container: runsAt === null ? null : runsAt - started.from,
      program: started.at - (runsAt ?? started.from),
    },
    ...{ traffic, figures },
    bytes: bytes ?? totalBytes(traffic),
    jobMs: options.job ? await readMost(node, reference) - from : null,
    cpuMs: pids.length === 0 ? null : after.cpuMs - before.cpuMs,
    residentMb: pids.length === 0 ? null : after.residentMb,
  };
}

/** Reads most of the image in a container. @returns when all of it had been read. */
async function readMost(node: Node, image: string): Promise<number> {
  const { at } = await startUntilReady(node.containerd, {
    ...{ image, snapshotter: node.snapshotter, id: "coldstart-job" },
    invocation: { args: ["/bin/sh", "-c", JOB], port: null },
    ready: { kind: "line" },
  });
  return at;
}

function portOf(link: Link | null): number | undefined {
  return link === null ? undefined : Number(link.host.split(":")[1]);
}
