/** Images for the stargz snapshotter. @module */
import { ctrRemote, type Stargz, stargz } from "../../support/peer/mod.ts";
import { overlayNode } from "./nodes.ts";
import { type Name, WORKLOADS } from "./workloads.ts";

/** So long it watches what a workload reads, seconds. */
const WATCH = "10";

/**
 * Converts an image, with the files first that its workload reads by its other invocation, and pushes it.
 * @throws CommandError
 */
export async function convertForStargz(
  name: Name,
  { image, target, caFile }: { image: string; target: string; caFile: string },
): Promise<void> {
  const programs = await stargz({ build: false }) as Stargz;
  await using stack = new AsyncDisposableStack();
  const { containerd, pull } = await overlayNode(stack, caFile);
  await pull(image);
  await ctrRemote(
    ...[programs, containerd, "optimize", "--oci", "--net-host"] as const,
    ...["--period", WATCH],
    ...["--args", JSON.stringify(WORKLOADS[name].recorded.args)],
    ...[image, target],
  );
  await containerd.ctr("images", "push", "--tlscacert", caFile, target);
}
