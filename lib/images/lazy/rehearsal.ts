import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { DEFAULT_SPAN_SIZE_BYTES } from "../../formats/ztoc/mod.ts";
import type { Reference } from "../../remote/registry/mod.ts";
import type { WholeLayerTaker } from "./whole_layer.ts";

/** A layer of nobody. */
export interface RehearsedLayer {
  /** Names a repository that is none. */
  readonly reference: Reference;
  /** Of its blob. */
  readonly layer: Descriptor;
  /** Of its tar. */
  readonly diffId: Digest;
  /** Layers of other numbers are taken side by side. */
  readonly number: number;
}

/**
 * Takes a layer whole as others are, and shows it to nobody: its files are gone then.
 * @returns its ztoc. @throws as `WholeLayerTaker.take`
 */
export type Rehearsal = (
  layer: RehearsedLayer,
  signal: AbortSignal,
) => Promise<Uint8Array<ArrayBuffer>>;

/** @param taker see `WholeLayerTaker.rehearsal`. */
export function rehearsalBy(taker: Pick<WholeLayerTaker, "take">): Rehearsal {
  return async ({ reference, layer, diffId, number }, signal) => {
    using taken = await taker.take({
      ...{ reference, layer, diffId, signal },
      requester: {
        image: `${reference} ${number}`,
        host: reference.host,
      },
      spanSizeBytes: DEFAULT_SPAN_SIZE_BYTES,
      windows: "used",
      isKept: false,
      known: null,
    });
    return taken.ztoc;
  };
}
