import type { LayerIdentity } from "./identity.ts";

/** The state on disk was written by a release with another format. Nothing was changed. */
export class StateVersionError extends Error {
  /** The class's name, for logs. */
  override readonly name = "StateVersionError";
  /** What is found, and what this release knows, in words. */
  constructor(
    /** Of the file or folder. */
    readonly path: string,
    detail: string,
  ) {
    super(`${path}: ${detail}`);
  }
}

/** A ztoc was found to lie about its layer, now or earlier: it is not used again. */
export class LyingZtocError extends Error {
  /** The class's name, for logs. */
  override readonly name = "LyingZtocError";
  /** The layer it lies about. */
  readonly layerDigest: string;
  /** The ztoc. */
  readonly ztocDigest: string;
  /** Which ztoc lies about which layer, and how in words. */
  constructor({ layerDigest, ztocDigest }: LayerIdentity, reason: string) {
    super(`ztoc ${ztocDigest} lies about layer ${layerDigest}: ${reason}`);
    this.layerDigest = layerDigest;
    this.ztocDigest = ztocDigest;
  }
}
