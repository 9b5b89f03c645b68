/** One start of one image by one way over one line. @module */
import { pause } from "../../support/host/mod.ts";
import type { Contestant } from "./contestants.ts";
import { timeInLog } from "./events.ts";
import { usageOf } from "./processes.ts";
import { now, startUntilReady } from "./ready.ts";
import { type BenchRegistry, type Published } from "./registry.ts";
import { totalBytes, type Traffic, trafficOf } from "./traffic.ts";
import { type Name, WORKLOADS } from "./workloads.ts";

/** What daemons do when they have just come up is not measured, ms. */
const SETTLE_MS = 2000;
/** The daemon's own figures are taken when it has answered what waited, ms. */
const AFTER_MS = 300;

/** What one start took. Times in milliseconds. */
export interface Start {
  /** From the pull's command to the program being ready. */
  readonly totalMs: number;
  /** From the first Prepare at the snapshotter to that; null when nobody saw it. */
  readonly sincePrepareMs: number | null;
  readonly phases: Phases;
  readonly traffic: Traffic;
  readonly bytes: number;
  /** Of the lazy daemon, from the pull's command on; null where there is none. */
  readonly cpuMs: number | null;
  readonly residentMb: number | null;
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

/** Starts an image cold. */
export async function measureStart(
  registry: BenchRegistry,
  contestant: Contestant,
  image: { name: Name; published: Published; port?: number },
): Promise<Start> {
  await using stack = new AsyncDisposableStack();
  const node = await contestant.node(stack, registry.authority.certPath);
  const { name, published, port } = image;
  const reference = registry.reference(published, port);
  const { ready, measured } = WORKLOADS[name];
  await pause(SETTLE_MS);

  const logged = registry.log().length;
  const before = usageOf(node.pids());
  const from = now();
  await node.pull(reference);
  const pulled = now();
  const started = await startUntilReady(node.containerd, {
    ...{ image: reference, snapshotter: node.snapshotter, ready },
    ...{ invocation: measured, id: `coldstart-${name}` },
  });
  await pause(AFTER_MS);
  const pids = node.pids();
  const after = usageOf(pids);

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
    traffic,
    bytes: totalBytes(traffic),
    cpuMs: pids.length === 0 ? null : after.cpuMs - before.cpuMs,
    residentMb: pids.length === 0 ? null : after.residentMb,
  };
}
