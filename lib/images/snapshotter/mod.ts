/**
 * Snapshots of container file systems for containerd: their metadata, how to mount them, and the gRPC
 * service on a Unix socket.
 *
 * It may write its database and the folders of snapshots, and listen on its socket. It fetches nothing.
 * It mounts nothing but clones of layers with mapped owners, for user namespaces: containerd does the
 * mounts. Layers that are served lazily come from a {@linkcode LayerProvider}, and this room must not
 * know how. {@linkcode Snapshotter} explains the model.
 *
 * ```ts
 * import { listenPrivately, NO_LAYERS, serveSnapshots, Snapshotter } from "./mod.ts";
 *
 * const root = Deno.makeTempDirSync();
 * {
 *   await using snapshotter = await Snapshotter.open({ root, provider: NO_LAYERS });
 *   const address = `${root}/soci.sock`;
 *   const descriptor = await listenPrivately(address);
 *   await using _service = await serveSnapshots(snapshotter, { descriptor });
 *   console.log(`containerd may call ${address}`);
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
export { isOfOtherDaemon } from "./other_daemon.ts";
export {
  type ChainPart,
  type ImageCatalog,
  type LayerChain,
  type LayerDirectory,
  type LayerProvider,
  type LayerRequest,
  type NamedImage,
  NO_LAYERS,
  type OwnDirectories,
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
} from "./serve.ts";
export { listenPrivately } from "./socket.ts";
export type { CommitRequest, PrepareRequest } from "./requests.ts";
export { Snapshotter, type SnapshotterOptions } from "./snapshotter.ts";
export type { ServedImage } from "./uses.ts";
export {
  type Labels,
  type MountSpec,
  NAMESPACE_LABEL,
  type Owner,
  type SnapshotInfo,
  type SnapshotKind,
  type SnapshotUsage,
} from "./types.ts";
