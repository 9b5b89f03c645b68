/** What tells served layers apart: one layer served by two ztocs is two served layers. */
export interface LayerIdentity {
  /** Digest of the layer blob. */
  readonly layerDigest: string;
  /** Digest of the ztoc it is served by: another ztoc means other nodeids, so another slot. */
  readonly ztocDigest: string;
}
