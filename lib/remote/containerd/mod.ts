/**
 * containerd's own APIs: clients for its services on a Unix socket, and the bridge that lets
 * grpc-js serve and call services described by protobuf-es.
 *
 * The `.proto` files under `proto/` are minimal: the published packages, messages, names and numbers,
 * and only the fields we use. Other fields that a peer sends are kept as unknown fields. `deno task
 * gen:proto` writes `gen/` from them.
 *
 * It may connect to containerd's Unix socket and to nothing else. It must not know the purpose of a call: its
 * callers choose leases, labels and names. Errors are {@linkcode ContainerdError} with containerd's
 * code.
 *
 * ```ts
 * import { connectContainerd, isRpcError } from "./mod.ts";
 *
 * try {
 *   using containerd = await connectContainerd("/run/containerd/containerd.sock", {
 *     namespace: "k8s.io",
 *     snapshotter: "soci",
 *   });
 *   for await (const { name } of containerd.snapshots.list(["kind==committed"])) {
 *     console.log(name);
 *   }
 * } catch (error) {
 *   if (!isRpcError(error)) throw error;
 *   console.log(error.message); // such as: nobody listens on that socket
 * }
 * ```
 * @module
 */
import "./http2_guard.ts";
export {
  type CallOptions,
  type ChannelOptions,
  type DuplexCall,
  RpcChannel,
} from "./channel.ts";
export {
  connectContainerd,
  type ConnectOptions,
  type Containerd,
  type ContainerdVersion,
} from "./connect.ts";
export {
  ContentClient,
  type ContentInfo,
  type ReadBlobOptions,
  type WriteBlobOptions,
} from "./content.ts";
export { serviceDefinition } from "./definition.ts";
export { DiffClient } from "./diff.ts";
export {
  ContainerdError,
  isRpcError,
  type RpcCode,
} from "../containerd_words/mod.ts";
export { type ImageRecord, ImagesClient } from "./images.ts";
export { type LeaseOptions, LeasesClient } from "./leases.ts";
export {
  type NewSnapshotOptions,
  type SnapshotRecord,
  type SnapshotRecordKind,
  SnapshotsClient,
} from "./snapshots.ts";
export type { Mount } from "./wire.ts";

/** The snapshot service as generated: what soci-deno serves. */
export * as snapshotsApi from "./gen/containerd/services/snapshots/v1/snapshots_pb.ts";
