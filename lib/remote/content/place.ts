import type { Descriptor } from "../../formats/oci/mod.ts";

/** Lets a caller leave. */
export interface Cancellable {
  /** Ends the call early; its reason is what is thrown then. */
  readonly signal?: AbortSignal | undefined;
}

/** Which part of some content to read. */
export interface StreamOptions extends Cancellable {
  /** First byte. Default 0. */
  readonly offset?: number | undefined;
  /** Bytes from there on. Default: to the end. */
  readonly length?: number | undefined;
}

/** What identifies content; its media type tells registries where to look. */
export type ContentId = Pick<Descriptor, "mediaType" | "digest" | "size">;

/**
 * A place that content is read from by digest: manifests, configs, layers, ztocs.
 *
 * What a source gives under a digest never changes. `bytes` checks what it gives; `stream` leaves
 * that to its reader, who sees all bytes anyway. Nothing is copied to be read.
 */
export interface LayerSource {
  /** The place as a person would name it, for messages. */
  readonly place: string;
  /** Whether the content is here. */
  has(content: ContentId, options?: Cancellable): Promise<boolean>;
  /**
   * Small content as a whole, its size and digest checked.
   * @throws an error that {@link isMissing} knows; ContentError and the place's own errors
   */
  bytes(content: ContentId, options?: Cancellable): Promise<Uint8Array>;
  /**
   * Content piece by piece, not checked. Whoever does not read it to its end cancels it.
   * @throws as `bytes`, also while it is read
   */
  stream(
    content: ContentId,
    options?: StreamOptions,
  ): Promise<ReadableStream<Uint8Array>>;
}

/** A source that stands for one image. */
export interface ImageSource extends LayerSource {
  /** The image's name where it has one: `registry.example/app:1`. */
  readonly imageName: string | null;
  /**
   * What the name stands for: an image index, or the manifest of one image.
   * @throws an error that {@link isMissing} knows when there is no such image
   */
  image(options?: Cancellable): Promise<Descriptor>;
}

/** Content to store: all of it, or a way to read it, which may be used more than once. */
export type Content =
  | Uint8Array
  | (() => Promise<ReadableStream<Uint8Array>>);

/**
 * A place that content is written to.
 *
 * Content is put before what names it: layers and ztocs, then manifests, then indexes, then names.
 * Nothing is seen at the place before it is whole and checked; a put that fails or is aborted
 * leaves nothing behind that a later one would trip over.
 */
export interface ArtifactSink {
  /** The place as a person would name it, for messages. */
  readonly place: string;
  /**
   * Stores content.
   * @returns `present` when it was there already.
   * @throws ContentError `integrity` when the bytes are not the descriptor's
   */
  put(
    descriptor: Descriptor,
    content: Content,
    options?: Cancellable,
  ): Promise<"written" | "present">;
  /** Lets a name stand for a manifest or index; null where the place keeps one without a name. */
  tag(
    descriptor: Descriptor,
    name: string | null,
    options?: Cancellable,
  ): Promise<void>;
}

/** The largest content that `bytes` gives: that of a ztoc. */
export const MAX_BYTES = 256 * 2 ** 20;
