import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { CallOptions, RpcChannel } from "./channel.ts";
import { isRpcError } from "../containerd_words/mod.ts";
import {
  type Info,
  Kind,
  Snapshots,
} from "./gen/containerd/services/snapshots/v1/snapshots_pb.ts";
import { fromWireMount, type Mount } from "./wire.ts";

/** What a snapshot is for. */
export type SnapshotRecordKind = "view" | "active" | "committed" | "unknown";

/** What a snapshotter tells about a snapshot. */
export interface SnapshotRecord {
  /** The key of a snapshot in use, the name of a committed one. */
  readonly name: string;
  /** Empty for a snapshot without parent. */
  readonly parent: string;
  /** What it is for; `unknown` for a kind of a newer containerd. */
  readonly kind: SnapshotRecordKind;
  /** When it was made; null where the snapshotter does not say. */
  readonly createdAt: Date | null;
  /** When its labels or kind changed last; null where the snapshotter does not say. */
  readonly updatedAt: Date | null;
  /** Its labels; some of them are instructions for the snapshotter. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Call options and the labels a new snapshot gets. */
export interface NewSnapshotOptions extends CallOptions {
  /** Labels of the new snapshot; they tell a snapshotter which image it is for. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

const KINDS: Readonly<Record<Kind, SnapshotRecordKind>> = {
  [Kind.UNKNOWN]: "unknown",
  [Kind.VIEW]: "view",
  [Kind.ACTIVE]: "active",
  [Kind.COMMITTED]: "committed",
};

/** One snapshotter, reached through containerd or directly. */
export class SnapshotsClient {
  readonly #channel: RpcChannel;
  readonly #snapshotter: string;

  /**
   * Snapshots of the channel's namespace.
   * @param channel stays the caller's.
   * @param snapshotter its name in containerd; a snapshotter asked directly ignores it.
   */
  constructor(channel: RpcChannel, snapshotter: string) {
    this.#channel = channel;
    this.#snapshotter = snapshotter;
  }

  /** The same services for another snapshotter of this containerd. */
  of(snapshotter: string): SnapshotsClient {
    return new SnapshotsClient(this.#channel, snapshotter);
  }

  /** Makes a writable snapshot. */
  async prepare(
    key: string,
    parent: string,
    options: NewSnapshotOptions = {},
  ): Promise<Mount[]> {
    const { mounts } = await this.#channel.unary(
      Snapshots.method.prepare,
      this.#named({ key, parent, labels: { ...options.labels } }),
      { timeoutMs: null, ...options },
    );
    return mounts.map(fromWireMount);
  }

  /** Makes a read-only snapshot. */
  async view(
    key: string,
    parent: string,
    options: NewSnapshotOptions = {},
  ): Promise<Mount[]> {
    const { mounts } = await this.#channel.unary(
      Snapshots.method.view,
      this.#named({ key, parent, labels: { ...options.labels } }),
      options,
    );
    return mounts.map(fromWireMount);
  }

  /** Mounts of an active snapshot or a view. */
  async mounts(key: string, options?: CallOptions): Promise<Mount[]> {
    const { mounts } = await this.#channel.unary(
      Snapshots.method.mounts,
      this.#named({ key }),
      options,
    );
    return mounts.map(fromWireMount);
  }

  /** Freezes an active snapshot under a name. */
  async commit(
    name: string,
    key: string,
    options: NewSnapshotOptions = {},
  ): Promise<void> {
    await this.#channel.unary(
      Snapshots.method.commit,
      this.#named({ name, key, labels: { ...options.labels } }),
      { timeoutMs: null, ...options },
    );
  }

  /** Removes a snapshot nothing builds upon. */
  async remove(key: string, options?: CallOptions): Promise<void> {
    await this.#channel.unary(
      Snapshots.method.remove,
      this.#named({ key }),
      options,
    );
  }

  /**
   * What is known of one snapshot.
   * @throws ContainerdError `NOT_FOUND` when there is no such snapshot.
   */
  async stat(key: string, options?: CallOptions): Promise<SnapshotRecord> {
    const { info } = await this.#channel.unary(
      Snapshots.method.stat,
      this.#named({ key }),
      options,
    );
    return snapshotRecord(info, key);
  }

  /** Whether there is a snapshot of that name. */
  async has(key: string, options?: CallOptions): Promise<boolean> {
    try {
      await this.stat(key, options);
      return true;
    } catch (error) {
      if (isRpcError(error, "NOT_FOUND")) return false;
      throw error;
    }
  }

  /** Sets these labels and leaves the others; an empty value removes a label. */
  async updateLabels(
    key: string,
    labels: Readonly<Record<string, string>>,
    options?: CallOptions,
  ): Promise<SnapshotRecord> {
    const { info } = await this.#channel.unary(
      Snapshots.method.update,
      this.#named({
        info: { name: key, labels: { ...labels } },
        updateMask: {
          paths: Object.keys(labels).map((label) => `labels.${label}`),
        },
      }),
      options,
    );
    return snapshotRecord(info, key);
  }

  /** Snapshots that pass one of the filters (containerd's filter language); all when none is given. */
  async *list(
    filters: readonly string[] = [],
    options?: CallOptions,
  ): AsyncGenerator<SnapshotRecord, void, undefined> {
    const answers = this.#channel.serverStream(
      Snapshots.method.list,
      this.#named({ filters: [...filters] }),
      options,
    );
    for await (const { info } of answers) {
      for (const each of info) yield snapshotRecord(each, each.name);
    }
  }

  /** Disk that this snapshot alone takes, without its parents. */
  async usage(
    key: string,
    options?: CallOptions,
  ): Promise<{ sizeBytes: number; inodes: number }> {
    const { size, inodes } = await this.#channel.unary(
      Snapshots.method.usage,
      this.#named({ key }),
      options,
    );
    return { sizeBytes: Number(size), inodes: Number(inodes) };
  }

  /** Frees the disk of removed snapshots. */
  async cleanup(options?: CallOptions): Promise<void> {
    await this.#channel.unary(
      Snapshots.method.cleanup,
      this.#named({}),
      options,
    );
  }

  #named<T extends object>(request: T): T & { snapshotter: string } {
    return { ...request, snapshotter: this.#snapshotter };
  }
}

function snapshotRecord(info: Info | undefined, name: string): SnapshotRecord {
  return {
    name,
    parent: info?.parent ?? "",
    kind: KINDS[info?.kind ?? Kind.UNKNOWN] ?? "unknown",
    createdAt: dateOf(info?.createdAt),
    updatedAt: dateOf(info?.updatedAt),
    labels: info?.labels ?? {},
  };
}

/** The whole milliseconds of a moment; `timestampDate` gives the next one. */
function dateOf(at: Timestamp | undefined): Date | null {
  return at === undefined
    ? null
    : new Date(Number(at.seconds) * 1000 + Math.floor(at.nanos / 1e6));
}
