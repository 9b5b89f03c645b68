import type { CallOptions, RpcChannel } from "./channel.ts";
import { isRpcError } from "../containerd_words/mod.ts";
import { Leases } from "./gen/containerd/services/leases/v1/leases_pb.ts";

/** Name and life of a lease. */
export interface LeaseOptions extends CallOptions {
  /** Default: a name containerd makes up. */
  readonly id?: string | undefined;
  /** containerd drops a forgotten lease after this time. */
  readonly expiresInMs: number;
  /** Beside the one that lets the lease expire. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Leases: resources made by a call under a lease (see `CallOptions.lease`) survive garbage collection
 * until the lease ends.
 */
export class LeasesClient {
  readonly #channel: RpcChannel;

  /** Leases of the channel's namespace. @param channel stays the caller's. */
  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  /** Makes a lease, which holds nothing yet. @returns the lease's name. */
  async create(options: LeaseOptions): Promise<string> {
    const expiry = new Date(Date.now() + options.expiresInMs).toISOString();
    const { lease } = await this.#channel.unary(Leases.method.create, {
      id: options.id ?? `soci-deno-${crypto.randomUUID()}`,
      labels: { "containerd.io/gc.expire": expiry, ...options.labels },
    }, options);
    if (lease === undefined) throw new Error("containerd made no lease");
    return lease.id;
  }

  /** Drops a lease; one that is gone already is not an error. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    try {
      await this.#channel.unary(Leases.method.delete, { id }, options);
    } catch (error) {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
    }
  }

  /**
   * Has a lease hold a snapshot that another one made, if there is such a snapshot: ask for it afterwards, as it
   * may have gone before.
   * @param options.lease the lease.
   */
  async addSnapshot(
    snapshotter: string,
    key: string,
    options: CallOptions & { readonly lease: string },
  ): Promise<void> {
    await this.#channel.unary(Leases.method.addResource, {
      id: options.lease,
      resource: { id: key, type: `snapshots/${snapshotter}` },
    }, options);
  }

  /** Names of the leases that pass one of the filters; of all when none is given. */
  async list(
    filters: readonly string[] = [],
    options?: CallOptions,
  ): Promise<string[]> {
    const { leases } = await this.#channel.unary(
      Leases.method.list,
      { filters: [...filters] },
      options,
    );
    return leases.map(({ id }) => id);
  }

  /** Runs a task under a lease that ends with it, however it ends. */
  async during<T>(
    options: LeaseOptions,
    task: (lease: string) => Promise<T>,
  ): Promise<T> {
    // Not aborted by the caller's signal: a lease whose creation is aborted might still be made.
    const id = await this.create({ ...options, signal: undefined });
    let result: T;
    try {
      options.signal?.throwIfAborted();
      result = await task(id);
    } catch (error) {
      await this.delete(id).catch(() => {}); // why it failed matters more; the lease expires
      throw error;
    }
    await this.delete(id);
    return result;
  }
}
