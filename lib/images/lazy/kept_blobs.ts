import { type Descriptor, type Digest, sha256 } from "../../formats/oci/mod.ts";
import type { Repository } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { Claimant } from "./claimants.ts";
import type { LocalLayer } from "./whole_layer.ts";
import type { WholeOptions } from "./whole_options.ts";

const log = logger("images");
/** Stands for containerd's namespace where an image is mounted without containerd. */
export const NO_NAMESPACE = "-";

/** Whether somebody keeps the blobs of a claimant's layers. */
export function keepsBlobs(
  { keep }: WholeOptions,
  { namespace }: Claimant,
): boolean {
  return keep !== undefined && namespace !== NO_NAMESPACE;
}

/** Names the file of a layer's blob: for its claimant alone, who has asked its own registry for it. */
export function nameOfKept(
  { layerDigest, diffId, claimant }: {
    readonly layerDigest: Digest;
    readonly diffId: Digest;
    readonly claimant: string;
  },
): string {
  const parts = JSON.stringify([claimant, layerDigest, diffId]);
  return sha256(new TextEncoder().encode(parts)).slice("sha256:".length);
}

/** A layer is shown: its blob goes to whoever keeps it, and nobody waits for that. Its files go then. */
export function keepBlob(
  options: WholeOptions,
  { from, blob, claimant }: {
    readonly from: Repository;
    readonly blob: Descriptor;
    readonly claimant: Claimant;
  },
  local: LocalLayer,
): void {
  const { keep } = options;
  if (keep === undefined || !keepsBlobs(options, claimant)) {
    return local[Symbol.dispose]();
  }
  keep({ namespace: claimant.namespace, from, blob, path: local.blob })
    .catch((error) =>
      log.warn("layer's blob is not kept", {
        layer: blob.digest,
        error: String(error),
      })
    )
    .finally(() => local[Symbol.dispose]());
}
