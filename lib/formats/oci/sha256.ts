import type { createHash, Hash } from "node:crypto";
import type { Digest } from "./digest.ts";

let create: typeof createHash | null = null;

/** Loads Node's module with the first digest: that takes 20 ms, and a command's first request needs none. */
function newHash(): Hash {
  // deno-lint-ignore no-process-global -- to import it costs nearly as much
  create ??= process.getBuiltinModule("node:crypto").createHash;
  return create("sha256");
}

/** The digest of bytes that are all here. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${newHash().update(bytes).digest("hex")}` as Digest;
}

/** A digest fed piece by piece. */
export class DigestStream {
  readonly #hash = newHash();

  /** Adds bytes; the buffer may be reused after the call. */
  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  /** The digest of all that came; call it once. */
  finish(): Digest {
    return `sha256:${this.#hash.digest("hex")}` as Digest;
  }
}
