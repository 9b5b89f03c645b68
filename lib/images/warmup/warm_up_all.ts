import { RpcChannel, SnapshotsClient } from "../../remote/containerd/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { warmUp } from "./warm_up.ts";
import { warmUpRegistry } from "./warm_up_registry.ts";

const log = logger("warmup");
const CALLS = 20;

/** What the warm-up uses, and when it stops. */
export interface WarmUpOptions {
  /**
   * The daemon's own socket, which is asked for a snapshot that is not there. Null once a successor may listen there:
   * that answers when this daemon has ended, which waits for the warm-up.
   */
  readonly address: string | null;
  /** Path of a folder to be made and removed. */
  readonly scratch: string;
  /** Called before each step; false ends the warm-up, because a real pull warms up the code better. */
  readonly wanted: () => boolean;
}

/**
 * Runs the code of the first pull while nobody waits: a call on the daemon's own socket, a stream from a
 * response, a fake registry and a fake layer. Never fails, because nothing depends on it.
 */
export async function warmUpAll(
  { address, scratch, wanted }: WarmUpOptions,
): Promise<void> {
  if (!wanted()) return;
  try {
    if (address !== null) await callOurselves(address, wanted);
    await warmUpRegistry(wanted);
    await warmUp(scratch, wanted);
  } catch (error) {
    log.debug("could not warm up", { error: String(error) });
  }
}

async function callOurselves(
  socketPath: string,
  wanted: () => boolean,
): Promise<void> {
  using channel = new RpcChannel({ socketPath, namespace: "soci-deno" });
  const snapshots = new SnapshotsClient(channel, "");
  for (let call = 0; call < CALLS && wanted(); call++) {
    await snapshots.has("soci-deno: no such snapshot");
    const response = await fetch("data:,warm");
    for await (const _ of response.body ?? []);
  }
}
