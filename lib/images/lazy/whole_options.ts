import type { Descriptor } from "../../formats/oci/mod.ts";
import type { Decompressor } from "../../layers/whole/mod.ts";
import type { Reference, Repository } from "../../remote/registry/mod.ts";
import type { PolicyRules } from "../policy/mod.ts";
import { FAST_LIMITS, type WholeLimits } from "./whole_limits.ts";

/** Which of its images a repository has taken whole: all, those without a usable index, or none. */
export type WholeRule = "always" | "without index" | "never";

/** A proven blob, and whose it is. */
export interface ProvenBlob {
  /** containerd's. */
  readonly namespace: string;
  /** Where it came from. */
  readonly from: Repository;
  /** What it is. */
  readonly blob: Descriptor;
  /** A file with it. */
  readonly path: string;
}

/**
 * What becomes of the index that an image without one gets in passing: `keep` keeps it on this machine, `push` gives it
 * to the image's registry, too, `off` keeps it no longer than its layer.
 */
export type IndexMissing = "keep" | "push" | "off";

/** Programs that decompress, by how a layer is compressed. */
export type Decompressors = Readonly<
  Partial<Record<"gzip" | "zstd", Decompressor>>
>;

/** How layers are taken whole. */
export interface WholeOptions {
  /** Which images are. */
  readonly rule: (repository: Repository) => WholeRule;
  /** How much is done at a time. */
  readonly limits: WholeLimits;
  /** What decompresses them. Default: the daemon itself. */
  readonly decompressors?: Decompressors;
  /** How images are taken. Default: by their indexes. */
  readonly policies?: PolicyRules | null;
  /** What the pod says whose image is pulled just now, of how it is to be taken. Default: nothing. */
  readonly podPolicy?: (reference: Reference) => string | null;
  /** Default: `keep`. */
  readonly indexMissing?: IndexMissing;
  /** Whether a large layer may be inflated on all cores, by the checkpoints of its index. Default: none. */
  readonly checkpoints?: (repository: Repository) => boolean;
  /** Gives a blob to whoever keeps it; called once for each, and nobody waits for it. Default: nobody does. */
  readonly keep?: (blob: ProvenBlob) => Promise<void>;
}

/** No image is, but layers that cannot be served otherwise are, as fast as it goes. */
export const NONE_WHOLE: WholeOptions = {
  rule: () => "never",
  limits: FAST_LIMITS,
};
