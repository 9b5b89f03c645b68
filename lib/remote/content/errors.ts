import { ContainerdError } from "../containerd_words/mod.ts";
import type { Digest } from "../../formats/oci/mod.ts";
import { RegistryError } from "../registry/mod.ts";

/**
 * What is wrong: `not-found` (the place does not have it), `integrity` (bytes of another digest or
 * size), `too-large` (more than the reader takes), `unusable` (a place of a kind that cannot be
 * used, with the reason), `invalid` (a place that breaks the rules of its kind).
 */
export type ContentErrorKind =
  | "not-found"
  | "integrity"
  | "too-large"
  | "unusable"
  | "invalid";

/** A place could not read or write content. The message is one line. */
export class ContentError extends Error {
  static {
    this.prototype.name = "ContentError";
  }
  /** The message names the place, and the content where one is meant. */
  constructor(
    readonly kind: ContentErrorKind,
    /** The place, as a person would name it. */
    readonly place: string,
    readonly digest: Digest | null,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(
      digest === null
        ? `${place}: ${detail}`
        : `${place}: content ${digest}: ${detail}`,
      options,
    );
  }
}

/** Whether an error, of any place, means that the requested content does not exist there. */
export function isMissing(error: unknown): boolean {
  return (error instanceof ContentError && error.kind === "not-found") ||
    (error instanceof RegistryError && error.kind === "not-found") ||
    (error instanceof ContainerdError && error.code === "NOT_FOUND");
}
