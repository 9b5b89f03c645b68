import { type Digest, isDigest } from "../../../lib/formats/oci/mod.ts";

/** Signs addresses as object stores do, and checks them. */
export class Signer {
  readonly #valid = new Map<string, { digest: Digest; expiresAt: number }>();

  /** A signed path that expires. */
  sign(digest: Digest, lifeMs: number): string {
    const signature = crypto.randomUUID();
    this.#valid.set(signature, { digest, expiresAt: Date.now() + lifeMs });
    return `/storage/${digest}?signature=${signature}`;
  }

  /** Expires all addresses. */
  expire(): void {
    this.#valid.clear();
  }

  /** The blob a request may have, or the status of its refusal. */
  check(request: Request): Digest | number {
    // As S3 does: two ways to authenticate in one request are an error.
    if (request.headers.has("authorization")) return 400;
    const url = new URL(request.url);
    const digest = url.pathname.slice("/storage/".length);
    const entry = this.#valid.get(url.searchParams.get("signature") ?? "");
    return isDigest(digest) && entry?.digest === digest &&
        Date.now() < entry.expiresAt
      ? digest
      : 403;
  }
}
