import type { Descriptor } from "../../formats/oci/mod.ts";
import type { CallOptions, RpcChannel } from "./channel.ts";
import { Diff } from "./gen/containerd/services/diff/v1/diff_pb.ts";
import { fromWireDescriptor, type Mount, toWireDescriptor } from "./wire.ts";

/** Unpacking, done by containerd. */
export class DiffClient {
  readonly #channel: RpcChannel;

  /** Unpacks in the channel's namespace. @param channel stays the caller's. */
  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  /**
   * Unpacks a layer of containerd's content store into mounts. No time limit unless one is given.
   * @returns the descriptor of the uncompressed layer: its digest is the diff ID.
   */
  async apply(
    layer: Descriptor,
    mounts: readonly Mount[],
    options: CallOptions = {},
  ): Promise<Descriptor> {
    const { applied } = await this.#channel.unary(Diff.method.apply, {
      diff: toWireDescriptor(layer),
      mounts: mounts.map(({ type, source, options }) => ({
        type,
        source,
        options: [...options],
      })),
    }, { timeoutMs: null, ...options });
    if (applied === undefined) {
      throw new Error("containerd applied a layer without saying which");
    }
    return fromWireDescriptor(applied);
  }
}
