/**
 * `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md). Text becomes one by being
 * checked (`parseDigest`, `isDigest`) or computed (`sha256`); the mark exists for the compiler alone.
 */
export type Digest = string & { readonly "checked digest": true };

/** Text that is no digest we can verify. */
export class DigestError extends Error {
  static {
    this.prototype.name = "DigestError";
  }
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Checks text from outside.
 * @throws DigestError for any other algorithm or form.
 */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new DigestError(
      `not a sha256 digest: ${JSON.stringify(text.slice(0, 100))}`,
    );
  }
  return text;
}

/** Whether text is a digest. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === "string" && DIGEST.test(text);
}
