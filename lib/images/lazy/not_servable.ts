import {
  IndexingError,
  type IndexingReason,
} from "../../layers/builder/mod.ts";
import { CostlyZtocError } from "../../layers/opening/mod.ts";
import { LyingZtocError } from "../../layers/store/mod.ts";
import { TreeCompileError } from "../../layers/tree/mod.ts";
import { ZtocError } from "../../formats/ztoc/mod.ts";
import { ImageError, type ImageLayer } from "../../remote/image/mod.ts";
import type { Repository } from "../../remote/registry/mod.ts";
import { nameOf } from "./source.ts";

/** What may be otherwise the next time. */
const PASSING: ReadonlySet<IndexingReason> = new Set([
  ...["damaged", "disk", "internal"] as const,
]);
/** How many layers are remembered. */
const MAX_KNOWN = 1000;

/**
 * Layers that cannot be served and that containerd must unpack, by what their image says of them. They are
 * remembered because every layer of an image asks for all, and another download would give the same. Another
 * image may give a layer another type or diff ID, and its registry other bytes: what that led to says nothing
 * about this one's.
 */
export class NotServable {
  readonly #known = new Map<string, Error>();

  /** Why a layer cannot be served; null when nothing is known against it. */
  of(repository: Repository, layer: ImageLayer): Error | null {
    return this.#known.get(keyOf(repository, layer)) ?? null;
  }

  /** Remembers an error that is the format's; another one may go away. */
  add(repository: Repository, layer: ImageLayer, error: unknown): void {
    if (!isOfFormat(error)) return;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(keyOf(repository, layer), error);
  }
}

function keyOf(
  repository: Repository,
  { descriptor: { digest, mediaType, size }, diffId }: ImageLayer,
): string {
  return JSON.stringify([nameOf(repository), digest, mediaType, size, diffId]);
}

/**
 * Whether the layer's format is what cannot be served. The digest of the ztoc or the blob was right, so
 * asking again would give the same bytes.
 */
function isOfFormat(error: unknown): error is Error {
  if (error instanceof TreeCompileError || error instanceof ZtocError) {
    return true;
  }
  if (error instanceof LyingZtocError) return true;
  if (error instanceof CostlyZtocError) return true; // one made here would cost as much
  return error instanceof ImageError && error.cause instanceof IndexingError &&
    !PASSING.has(error.cause.reason);
}
