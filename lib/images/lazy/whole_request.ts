import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import type { WindowBytes } from "../../formats/ztoc/mod.ts";
import type { Reference } from "../../remote/registry/mod.ts";
import type { KnownUnits } from "./whole_known.ts";
import type { Requester } from "./whole_limits.ts";

/** What to download, and what it must match. */
export interface WholeLayerRequest {
  readonly reference: Reference;
  readonly layer: Descriptor;
  /** The digest of the uncompressed tar, from the image's configuration. */
  readonly diffId: Digest;
  /** Whose turn it is. */
  readonly requester: Requester;
  readonly spanSizeBytes: number;
  readonly windows: WindowBytes;
  /** Whether a file with the blob is wanted, too. */
  readonly isKept: boolean;
  /**
   * Names that file for whoever may go on from it after this process was killed: the same layer for the same claimant,
   * and nobody else. Default: nobody does.
   */
  readonly keptAs?: string;
  /** Asks where it can be entered, so that all cores can inflate it; null: it is not asked, or nothing is known. */
  readonly known: KnownUnits | null;
  readonly signal: AbortSignal;
}
