import type { LayerIdentity } from "./identity.ts";

/** The state on disk was written by a release with another format. Nothing was changed. */
export class StateVersionError extends Error {
  /** The class's name, for logs. */
  override readonly name = "StateVersionError";
  /**
   * The message begins with the path. @param detail what was found, and what this release knows.
   */
  constructor(
    /** The file or folder. */
    readonly path: string,
    detail: string,
  ) {
    super(`${path}: ${detail}`);
  }
}

/** A ztoc was found, now or earlier, to be wrong about its layer. It is not used again. */
export class LyingZtocError extends Error {
  /** The class's name, for logs. */
  override readonly name = "LyingZtocError";
  /** The layer. */
  readonly layerDigest: string;
  /** The ztoc. */
  readonly ztocDigest: string;
  /** The message names ztoc and layer. @param reason how the ztoc is wrong. */
  constructor({ layerDigest, ztocDigest }: LayerIdentity, reason: string) {
    super(`ztoc ${ztocDigest} lies about layer ${layerDigest}: ${reason}`);
    this.layerDigest = layerDigest;
    this.ztocDigest = ztocDigest;
  }
}

/** The ztoc that a layer was served by is not on disk any more, or not whole. */
export class LostZtocError extends Error {
  /** The class's name, for logs. */
  override readonly name = "LostZtocError";
  /** Whose ztoc is lost. */
  constructor(
    /** The layer's folder. */
    readonly folder: string,
  ) {
    super(`the ztoc in ${folder} is lost or damaged`);
  }
}
