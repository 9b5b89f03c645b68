import type { ServeOptions, SnapshotService } from "./server.ts";
import type { Snapshotter } from "./snapshotter.ts";
export type { CloseOptions, ServeOptions, SnapshotService } from "./server.ts";

/**
 * Serves containerd's snapshot service on a Unix socket. Loads gRPC for it: who uses the
 * snapshots without serving them does not wait for that.
 *
 * @param snapshotter stays the caller's. Calls are accepted at once and wait for it.
 */
export async function serveSnapshots(
  snapshotter: Snapshotter | Promise<Snapshotter>,
  options: ServeOptions,
): Promise<SnapshotService> {
  const { serveOverGrpc } = await import("./server.ts");
  return await serveOverGrpc(snapshotter, options);
}
