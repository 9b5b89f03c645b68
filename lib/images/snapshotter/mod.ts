/**
 * Snapshots of container file systems for containerd: their metadata, how to mount them, and the
 * gRPC service that offers all that on a Unix socket.
 *
 * It may write its database and the folders of snapshots, and listen on its socket. It mounts nothing and
 * fetches nothing: containerd performs the mounts it is told; layers that are served lazily come from a
 * {@linkcode LayerProvider}, and it must not know how. The model is told at {@linkcode Snapshotter}.
 *
 * ```ts
 * import { NO_LAYERS, serveSnapshots, Snapshotter } from "./mod.ts";
 *
 * const root = Deno.makeTempDirSync();
 * {
 *   await using snapshotter = await Snapshotter.open({ root, provider: NO_LAYERS });
 *   await using service = await serveSnapshots(snapshotter, { address: `${root}/soci.sock` });
 *   console.log(`containerd may call ${service.address}`);
 *   const [mount] = await snapshotter.prepare({ key: "extract", parent: "" });
 *   Deno.writeTextFileSync(`${mount?.source}/hello`, "world");
 *   await snapshotter.commit({ name: "base", key: "extract" });
 *   await snapshotter.prepare({ key: "container", parent: "base" });
 * }
 * Deno.removeSync(root, { recursive: true });
 * ```
 * @module
 */
export {
  SnapshotError,
  type SnapshotErrorKind,
  SnapshotterSetupError,
} from "./errors.ts";
export { overlayOptionsOfKernel } from "./mounts.ts";
export {
  type LayerDirectory,
  type LayerProvider,
  type LayerRequest,
  NO_LAYERS,
  type ProvidedImage,
  type ProvidedLayer,
  type ServedLayer,
  type StoredLayer,
} from "./provider.ts";
export {
  type CloseOptions,
  type ServeOptions,
  serveSnapshots,
  type SnapshotService,
} from "./server.ts";
export {
  type CommitRequest,
  type PrepareRequest,
  Snapshotter,
  type SnapshotterOptions,
} from "./snapshotter.ts";
export {
  type Labels,
  type MountSpec,
  NAMESPACE_LABEL,
  type Owner,
  type SnapshotInfo,
  type SnapshotKind,
  type SnapshotUsage,
} from "./types.ts";
