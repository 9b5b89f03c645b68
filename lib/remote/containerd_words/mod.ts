/**
 * What is said of calls to containerd by those who make none: how a call fails, and the label of a
 * snapshot. `containerd` makes the calls, and needs gRPC for it, which takes most of the time of a
 * command's start. So whoever needs only these words loads only them.
 *
 * It must not know gRPC, and touches nothing.
 * @module
 */
export {
  ContainerdError,
  isRpcError,
  type RpcCode,
  rpcCodeName,
} from "./errors.ts";

/**
 * Label of a snapshot that is being prepared: the chain ID that it will have once its layer is there. A
 * snapshotter that can show the layer at once answers ALREADY_EXISTS.
 */
export const TARGET_LABEL = "containerd.io/snapshot.ref";
