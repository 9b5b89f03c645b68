import { type CallOptions, RpcChannel } from "./channel.ts";
import { ContentClient } from "./content.ts";
import { DiffClient } from "./diff.ts";
import { Introspection } from "./gen/containerd/services/introspection/v1/introspection_pb.ts";
import { Namespaces } from "./gen/containerd/services/namespaces/v1/namespaces_pb.ts";
import { Version } from "./gen/containerd/services/version/v1/version_pb.ts";
import { ImagesClient } from "./images.ts";
import { LeasesClient } from "./leases.ts";
import { SnapshotsClient } from "./snapshots.ts";

/** How long to wait for a containerd that does not answer when connecting. */
const CONNECT_TIMEOUT_MS = 5_000;

/** How to reach containerd. */
export interface ConnectOptions {
  /** containerd's namespace for all calls: `default`, `k8s.io`, `moby`, … */
  readonly namespace: string;
  /** Name of the snapshotter the snapshots client talks to. Default: `soci`. */
  readonly snapshotter?: string | undefined;
  /** Default: five seconds. */
  readonly timeoutMs?: number | undefined;
  /** Gives up connecting. */
  readonly signal?: AbortSignal | undefined;
}

/** Which containerd answers. */
export interface ContainerdVersion {
  /** Such as `1.7.24`. */
  readonly version: string;
  /** Of containerd's source, as its build says it; may be empty. */
  readonly revision: string;
}

/** containerd's services on one connection. The caller that connects must close it. */
export interface Containerd extends Disposable {
  /** Snapshots of the snapshotter named when connecting. */
  readonly snapshots: SnapshotsClient;
  /** Blobs: manifests, configs, layers, indexes. */
  readonly content: ContentClient;
  /** Names of images. */
  readonly images: ImagesClient;
  /** Leases, which protect content from garbage collection while it is used. */
  readonly leases: LeasesClient;
  /** Unpacking of layers. */
  readonly diff: DiffClient;
  /** Asks which containerd answers. */
  version(options?: CallOptions): Promise<ContainerdVersion>;
  /** Snapshotters this containerd has loaded without error. */
  snapshotters(options?: CallOptions): Promise<string[]>;
  /** Names of all namespaces of this containerd. */
  namespaces(options?: CallOptions): Promise<string[]>;
  /** Ends the connection. */
  close(): void;
}

/**
 * Connects to containerd and makes sure that it answers.
 *
 * @throws ContainerdError `UNAVAILABLE` at once when nothing listens, `DEADLINE_EXCEEDED` when it does
 * not answer in time.
 */
export async function connectContainerd(
  socketPath: string,
  options: ConnectOptions,
): Promise<Containerd> {
  const channel = new RpcChannel({ socketPath, namespace: options.namespace });
  const version = (call?: CallOptions) =>
    channel.unary(Version.method.version, {}, call);
  try {
    await version({
      timeoutMs: options.timeoutMs ?? CONNECT_TIMEOUT_MS,
      signal: options.signal,
    });
  } catch (error) {
    channel.close();
    throw error;
  }
  return {
    snapshots: new SnapshotsClient(channel, options.snapshotter ?? "soci"),
    content: new ContentClient(channel),
    images: new ImagesClient(channel),
    leases: new LeasesClient(channel),
    diff: new DiffClient(channel),
    async version(call) {
      const answer = await version(call);
      return { version: answer.version, revision: answer.revision };
    },
    async snapshotters(call) {
      const { plugins } = await channel.unary(
        Introspection.method.plugins,
        { filters: ["type==io.containerd.snapshotter.v1"] },
        call,
      );
      return plugins.filter(({ initErr }) => initErr === undefined)
        .map(({ id }) => id);
    },
    async namespaces(call) {
      const answer = await channel.unary(Namespaces.method.list, {}, call);
      return answer.namespaces.map(({ name }) => name);
    },
    close: () => channel.close(),
    [Symbol.dispose]: () => channel.close(),
  };
}
